import keras
import numpy as np
import pytest
from keras import layers

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel, PixelCNN
from keras_genimg.models.conditions import served_conditions
from keras_genimg.networks import pixel_stack


class Shifted(AutoregressiveModel):
    """A model whose labels begin at 2."""

    condition_ranges = {"label": (2, 4)}


class Misspelt(AutoregressiveModel):
    condition_ranges = {"lable": (2, 4)}


def make(kind):
    images = keras.Input((3, 4, 1), name="images")
    label = keras.Input((), dtype="int32", name="label")
    vector = layers.Reshape((1, 1, 5))(layers.Embedding(5, 5)(label))
    x = MaskedConv2D(5, 3, "A")(images) + vector
    return kind([images, label], MaskedConv2D(1, 1, "B", dtype="float32")(x))


def test_both_ends_of_a_range_hold():
    model = make(Shifted)
    assert model.generate(2, seed=0, conditions=[2, 4]).shape == (2, 3, 4, 1)
    for label in (1, 5):
        with pytest.raises(ValueError, match="`label` of .* integers from 2 to 4"):
            model.generate(1, conditions=[label])
    served = served_conditions(model, model.image_shape)["label"]
    assert (served.low, served.high) == (2, 4)


def test_a_range_without_an_input_is_refused():
    model = make(Misspelt)
    text = r"`condition_ranges` of .*which are \['label'\].*Received: \['lable'\]"
    with pytest.raises(ValueError, match=text):
        model.generate(1, conditions=[3])
    model.compile("sgd")
    x = {"images": np.zeros((1, 3, 4, 1)), "label": np.array([3])}
    with pytest.raises(ValueError, match=text):
        model.fit(x, verbose=0)


def test_ranges_of_a_graph_are_saved(tmp_path):
    """A GPU would look up zeros for a label that is out of range."""
    images = keras.Input((3, 4, 1), name="images")
    label = keras.Input((), dtype="int32", name="label")
    vector = layers.Reshape((1, 1, 5))(layers.Embedding(5, 5)(label))
    x = MaskedConv2D(5, 3, "A")(images) + vector
    outputs = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    ranges = {"label": (0, 4)}
    model = AutoregressiveModel([images, label], outputs, condition_ranges=ranges)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.condition_ranges == model.condition_ranges == ranges
    for one in (model, loaded):
        with pytest.raises(ValueError, match="`label` of .* integers from 0 to 4"):
            one.generate(1, conditions=[5])
    assert "condition_ranges" not in make(Shifted).get_config()
    assert AutoregressiveModel.condition_ranges == {}


def test_bad_sizes_of_networks():
    with pytest.raises(ValueError, match="`num_head_layers` of PixelCNN.*at least 0"):
        PixelCNN((3, 4, 1), 2, 1, num_head_layers=1.5)
    with pytest.raises(ValueError, match="`depth` of pixel_stack.*at least 1"):
        pixel_stack(keras.Input((3, 4, 1)), None, 0, 2, None)
