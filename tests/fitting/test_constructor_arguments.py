import json

import keras
import numpy as np
import pytest

from keras_genimg import layers
from keras_genimg.models import (
    VAE,
    AutoregressiveModel,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from tests.conformance.registry import MODELS


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda: PixelCNN((4, 4, 1), 4, 1, num_clases=10),
            "PixelCNN .*`num_clases` .did you mean `num_classes`.* image_shape, .*"
            r"condition_shape, dtype, name, trainable\. Received: num_clases=10$",
        ),
        (lambda: PixelRNN.from_preset("digits_row", unitz=3), "PixelRNN .*`units`.*=3"),
        (
            lambda: AutoregressiveModel(None, None, likelihod="bernoulli"),
            "AutoregressiveModel .*`likelihood`.*inputs, outputs, .*'bernoulli'$",
        ),
        (lambda: VAE((4, 4, 1), 2, seed=0), r"VAE has no argument `seed`\. .*dtype"),
        (
            lambda: PixelCNN((4, 4, 1), 4, 1, unitz=3, whatever=None),
            "PixelCNN .*`unitz`.*`units`.*`whatever`",
        ),
    ],
)
def test_unknown_arguments_are_refused(make, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        make()


def test_the_range_of_labels_follows_from_their_number():
    assert PixelCNN((4, 4, 1), 4, 1, num_classes=3).condition_ranges["label"] == (0, 2)
    with pytest.raises(TypeError, match="multiple values.*condition_ranges"):
        PixelCNN((4, 4, 1), 4, 1, num_classes=3, condition_ranges={"label": (0, 3)})


FOUR, ONE = np.int64(4), np.int64(1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: PixelCNN((FOUR, 4, ONE), FOUR, ONE, num_classes=FOUR),
        lambda: PixelCNN((4, 4, 1), FOUR, ONE, condition_shape=(ONE, ONE, FOUR)),
        lambda: PixelCNN((4, 4, 1), FOUR, ONE, condition_shape=np.array([1, 1, 4])),
        lambda: MultiScalePixelRNN((4, 4, 1), (ONE, FOUR), FOUR, ONE),
    ],
)
def test_sizes_may_be_numpy_integers(make):
    """The first two could not be built, the others not be saved."""
    model = make()
    config = json.loads(json.dumps(model.get_config()))
    assert config["units"] == 4
    assert type(model).from_config(config).count_params() == model.count_params()


class Mine(PixelCNN):
    def __init__(self, *args, extra=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra


def test_subclasses_offer_their_own_arguments_too():
    assert Mine((4, 4, 1), 4, 1, extra=2, num_classes=3).extra == 2
    for wrong, right in {"extr": "extra", "num_clases": "num_classes"}.items():
        with pytest.raises(ValueError, match=rf"Mine .*did you mean `{right}`"):
            Mine((4, 4, 1), 4, 1, **{wrong: 2})


class OwnGraph(AutoregressiveModel):
    def __init__(self, inputs, outputs, *args, **kwargs):
        super().__init__(inputs, outputs, *args, **kwargs)
        self.ranks = len(inputs.shape), len(outputs.shape)


def test_subclasses_get_from_a_config_what_they_got_from_a_user():
    """Tensors, not lists of one."""
    images = keras.Input((4, 4, 1))
    logits = layers.MaskedConv2D(1, 3, "A")(images)
    model = OwnGraph(images, logits, "bernoulli")
    assert OwnGraph.from_config(model.get_config()).ranks == model.ranks == (4, 4)


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_arguments_of_keras_are_accepted(case):
    original = case.make()
    arguments = {"name": "mine", "trainable": False, "dtype": "mixed_bfloat16"}
    model = type(original).from_config({**original.get_config(), **arguments})
    assert model.name == "mine"
    assert not model.trainable
    revived = keras.saving.serialize_keras_object(model)
    keras.saving.deserialize_keras_object(json.loads(json.dumps(revived)))
