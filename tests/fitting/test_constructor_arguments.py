import json

import keras
import pytest

from keras_genimg import latents, layers, losses, metrics
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from tests.conformance.registry import LAYERS, LIKELIHOODS, MODELS


def by_hand(**arguments):
    model = MODELS["AutoregressiveModel"].make()
    return AutoregressiveModel(model.inputs[0], model.outputs[0], **arguments)


@pytest.mark.parametrize(
    "make, owner, received, meant, accepted",
    [
        (
            lambda: PixelCNN((4, 4, 1), 4, 1, num_clases=10),
            "PixelCNN",
            "num_clases=10",
            "num_classes",
            "image_shape, units, num_blocks",
        ),
        (
            lambda: PixelRNN.from_preset("digits_row", unitz=3),
            "PixelRNN",
            "unitz=3",
            "units",
            "image_shape, units, num_layers, layer",
        ),
        (
            lambda: DRAW((4, 4, 1), 2, 4, 2, read_sise=3),
            "DRAW",
            "read_sise=3",
            "read_size",
            "image_shape, num_glimpses",
        ),
        (
            lambda: by_hand(likelihod="bernoulli"),
            "AutoregressiveModel",
            "likelihod='bernoulli'",
            "likelihood",
            "inputs, outputs, likelihood, condition_ranges, sampling_method, name",
        ),
        (
            lambda: VAE((4, 4, 1), 2, seed=0),
            "VAE",
            "seed=0",
            None,
            "weight_prior, conv_filters, activation, dtype, name, trainable",
        ),
    ],
    ids=["PixelCNN", "from_preset", "DRAW", "AutoregressiveModel", "VAE"],
)
def test_unknown_arguments_are_refused(make, owner, received, meant, accepted):
    name = received.split("=")[0]
    hint = f" (did you mean `{meant}`?)" if meant else ""
    with pytest.raises(ValueError) as error:
        make()
    text = str(error.value)
    assert text.startswith(f"{owner} has no argument `{name}`{hint}. Its arguments are")
    assert accepted in text
    assert text.endswith(f"Received: {received}")
    # The error does not list base class arguments that the subclass sets itself.
    assert "make_stack_layer" not in text


def test_several_unknown_arguments_are_all_named():
    with pytest.raises(ValueError, match=r"`unitz`.*`units`.*`whatever`"):
        PixelCNN((4, 4, 1), 4, 1, unitz=3, whatever=None)


class Mine(PixelCNN):
    def __init__(self, *args, extra=1, **kwargs):
        super().__init__(*args, **kwargs)
        self.extra = extra


def test_subclasses_offer_their_own_arguments_too():
    assert Mine((4, 4, 1), 4, 1, extra=2, num_classes=3).extra == 2
    for wrong, right in {"extr": "extra", "num_clases": "num_classes"}.items():
        with pytest.raises(ValueError, match=rf"Mine .*did you mean `{right}`"):
            Mine((4, 4, 1), 4, 1, **{wrong: 2})


@pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)
def test_arguments_of_keras_are_accepted(case):
    config = case.make().get_config()
    arguments = {"name": "mine", "trainable": False, "dtype": "mixed_bfloat16"}
    model = type(case.make()).from_config({**config, **arguments})
    assert model.name == "mine"
    assert not model.trainable
    revived = keras.saving.serialize_keras_object(model)
    keras.saving.deserialize_keras_object(json.loads(json.dumps(revived)))


@pytest.mark.parametrize(
    "make",
    [
        *(case.make for case in LAYERS.values()),
        lambda **k: layers.DRAWCell((4, 5, 1), 6, 3, **k),
        *(type(make()) for make in LIKELIHOODS.values()),
        latents.FullNormal,
        lambda **k: metrics.BitsPerDim("bernoulli", **k),
        lambda **k: losses.NegativeLogLikelihood("bernoulli", **k),
    ],
)
def test_nothing_else_swallows_an_argument(make):
    with pytest.raises((TypeError, ValueError), match="unitz|takes no arguments"):
        make(unitz=3)
