"""Arguments with arbitrary values are taken exactly if the documented rule says so.

Otherwise the error, a ValueError or a TypeError, says what was received.
"""

import numbers
import sys

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keras_genimg.datasets.batches import checked_size
from keras_genimg.generation.completion_inputs import checked_completion
from keras_genimg.inputs.calls import image_seeds
from keras_genimg.inputs.images import checked_values, condition_arrays
from keras_genimg.models import AutoregressiveModel
from keras_genimg.ops.checks import check_image_shape, check_odd, check_temperature
from keras_genimg.ops.uniforms import MAX_SEED
from tests.arbitrary import accepts, arrays, integers, is_int, ragged, scalars, values
from tests.inputs.sources import small

COUNT, SHAPE = 2, (2, 3, 1)


def is_real(array):
    """Return whether an array has real numbers, of at most 64 bits as in TensorFlow."""
    dtype = np.asarray(array).dtype
    return dtype.kind in "biuf" and dtype.itemsize <= 8


@given(st.one_of(values, st.lists(integers, max_size=3)), st.integers(1, 3))
def test_seeds(seed, count):
    if is_int(seed):
        right = 0 <= seed <= MAX_SEED - (count - 1)
    elif isinstance(seed, list | tuple):
        # NumPy reads a boolean beside integers as one.
        right = len(seed) == count and any(map(is_int, seed))
        right &= all(
            isinstance(each, numbers.Integral) and 0 <= each <= MAX_SEED
            for each in seed
        )
    else:
        right = seed is None
    assert accepts(image_seeds, count, seed) == right


@given(
    st.one_of(values, st.lists(st.one_of(integers, st.none()), max_size=4)),
    st.booleans(),
)
def test_shapes_of_images(shape, any_size):
    sizes = list(shape) if np.iterable(shape) else []
    right = len(sizes) == 3 and all(
        (is_int(size) and size > 0) or (any_size and size is None and axis < 2)
        for axis, size in enumerate(sizes)
    )
    assert accepts(check_image_shape, shape, "PixelCNN", any_size) == right


@given(st.one_of(values, st.tuples(integers, integers)))
def test_pairs_of_sizes(size):
    pair = (size, size) if is_int(size) else size
    right = isinstance(pair, list | tuple) and len(pair) == 2
    right = right and all(is_int(side) and side > 0 for side in pair)
    assert accepts(checked_size, "image_size", size) == (right or size is None)


@given(values)
def test_odd_sizes(size):
    right = is_int(size) and size > 0 and size % 2 == 1
    assert accepts(check_odd, "kernel_size", size, "MaskedConv2D") == right


@given(st.one_of(values, arrays(())))
def test_temperatures(temperature):
    given = np.asarray(temperature, object)
    right = given.ndim == 0 and isinstance(given.item(), numbers.Real)
    right = right and 0 < given.item() <= sys.float_info.max
    assert accepts(check_temperature, temperature) == right


@pytest.fixture(scope="module")
def model():
    conditions = [
        keras.Input((), dtype="int32", name="label"),
        keras.Input((2,), dtype="float32", name="vector"),
    ]
    return small(shape=SHAPE, conditions=conditions, condition_ranges={"label": (0, 2)})


@pytest.fixture(scope="module")
def plain():
    return small(shape=SHAPE)


def are_pixels(images):
    """Return whether an array has integers from 0 to 1."""
    return is_real(images) and bool(np.isin(images, (0, 1)).all())


@given(images=st.one_of(arrays((COUNT, *SHAPE), (1, *SHAPE)), values, ragged))
def test_images(plain, images):
    right = isinstance(images, np.ndarray)
    right = right and images.shape[1:] == SHAPE and are_pixels(images)
    assert accepts(checked_values, images, plain, "fit") == right


@given(
    images=arrays((COUNT, *SHAPE)),
    known=st.one_of(arrays((COUNT, *SHAPE[:2]), SHAPE[:2]), ragged),
)
def test_masks_and_images_of_a_completion(plain, images, known):
    right = images.shape[1:] == SHAPE and len(images) > 0 and is_real(images)
    right = right and isinstance(known, np.ndarray)
    right = right and known.shape in (images.shape[:3], images.shape[1:3])
    right = right and are_pixels(known)
    if right:
        where = np.broadcast_to(known == 1, images.shape[:3])
        right = are_pixels(images[where])
    assert accepts(checked_completion, images, known, plain) == right


@given(
    label=st.one_of(arrays((COUNT,), (COUNT, 1)), ragged),
    vector=arrays((COUNT, 2)),
)
def test_conditions(model, label, vector):
    given = {"label": label, "vector": vector}
    right = isinstance(label, np.ndarray) and label.dtype.kind in "biu"
    right = right and label.shape in ((COUNT,), (COUNT, 1))
    right = right and bool(((label >= 0) & (label <= 2)).all())
    right &= vector.shape in ((COUNT, 2), (COUNT, 2, 1)) and is_real(vector)
    if right:
        with np.errstate(over="ignore"):
            right = bool(np.isfinite(vector.astype("float32")).all())
    assert accepts(condition_arrays, model, given, COUNT) == right


@given(conditions=values)
def test_conditions_that_are_no_arrays(plain, conditions):
    right = conditions is None or conditions == {}
    assert accepts(condition_arrays, plain, conditions, COUNT) == right


ranges = st.dictionaries(
    st.sampled_from(["label", "vector", "images", "other"]),
    st.one_of(scalars, st.lists(integers, max_size=3), st.tuples(scalars, scalars)),
)


@settings(max_examples=60)
@given(ranges=st.one_of(values, ranges))
def test_ranges_of_conditions(model, ranges):
    right = ranges is None or (
        isinstance(ranges, dict)
        and ranges.keys() <= {"label", "vector"}
        and all(
            isinstance(pair, list | tuple)
            and len(pair) == 2
            and all(map(is_int, pair))
            and pair[0] <= pair[1]
            for pair in ranges.values()
        )
    )

    def make():
        AutoregressiveModel(model.inputs, model.outputs[0], condition_ranges=ranges)

    assert accepts(make) == right
