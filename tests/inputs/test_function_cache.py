"""What is kept of a model until its layers change."""

import keras
import numpy as np
import pytest

from keras_genimg.inputs.function_cache import LayerVersion, UntilChange
from keras_genimg.models import PixelCNN


@pytest.fixture
def model():
    return PixelCNN((3, 3, 1), 2, 1)


def change(model):
    model.layers[-1].activation = keras.activations.relu


def test_a_mark_stays_until_an_attribute_changes(model):
    version = LayerVersion(model)
    mark = version.mark()
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    model.compile("sgd")
    assert version.mark() is mark
    change(model)
    assert version.mark() is not mark
    assert version.mark() is version.mark()


def test_each_reader_is_told_of_a_change_once(model):
    version = LayerVersion(model)
    assert version.is_new_to("training") and not version.is_new_to("training")
    change(model)
    version.mark()  # That another has noticed it takes nothing from a reader.
    assert version.is_new_to("training") and not version.is_new_to("training")
    assert version.is_new_to("evaluation")


def test_entries_are_made_again_after_a_change(model):
    made = UntilChange(LayerVersion(model))
    first = made.get("key", object)
    assert made.get("key", object) is first
    change(model)
    assert made.entries() == {}
    assert made.get("key", object) is not first


def test_what_fails_is_not_kept(model):
    made = UntilChange(LayerVersion(model))
    with pytest.raises(ZeroDivisionError):
        made.get("key", lambda: 1 / 0)
    assert made.entries() == {}
