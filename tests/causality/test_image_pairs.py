import keras
import numpy as np
import pytest

from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN
from tests.causality.wired import wired


@pytest.mark.parametrize("shape", [(28, 28, 1), (8, 6, 3), (1, 40, 1), (40, 1, 1)])
@pytest.mark.parametrize("num_values", [2, 256])
def test_all_from_a_place_on_changes_and_nothing_before(shape, num_values):
    likelihood = Categorical(num_values)
    model = PixelCNN(shape, 3, 1, head_filters=3, likelihood=likelihood)
    pairs = ImagePairs(model, shape)
    height, width, colors = shape
    size, units = height * width * colors, pairs.units[1:]
    assert pairs.units[0] == size
    np.testing.assert_array_equal(pairs.before[0][0], pairs.after[0][0])
    assert len(set(units)) == 12 and units[0] == 0 and units[-1] == size - 1
    middle = (height // 2 * width + width // 2) * colors + colors // 2
    assert middle in units
    ends = units[units // colors % width == width - 1]
    assert len(ends) >= min(height, 5)
    if colors > 1:
        assert set(ends % colors) == set(range(colors))
    each = zip(pairs.units, *pairs.before, *pairs.after, strict=True)
    for unit, image, changed in each:
        differs = (image != changed).ravel()
        assert not differs[:unit].any() and differs[unit:].all()
        for pixels in (image, changed):
            assert pixels.min() >= 0 and pixels.max() < num_values
    again = ImagePairs(model, shape)
    np.testing.assert_array_equal(again.after, pairs.after)


def test_small_images_have_all_their_places():
    pairs = ImagePairs(PixelCNN((2, 5, 1), 3, 1), (2, 5, 1))
    assert set(pairs.units) == set(range(11))


def test_large_models_have_fewer_pairs():
    model = PixelCNN((32, 32, 3), 128, 15, head_filters=1024)
    pairs = ImagePairs(model, (32, 32, 3))
    assert 3 <= len(pairs.units) < 8
    assert (16 * 32 + 16) * 3 + 1 in pairs.units


@pytest.mark.parametrize("num_labels", [1, 2])
def test_integers_of_an_unknown_range_are_what_the_model_takes(num_labels):
    embed, label = keras.layers.Embedding(num_labels, 9), keras.Input((), dtype="int32")
    model = wired(lambda x, y: x + embed(y)[:, None, None], conditions=[label])
    _, labels = ImagePairs(model, (4, 5, 1)).before
    assert set(labels) == set(range(num_labels))
