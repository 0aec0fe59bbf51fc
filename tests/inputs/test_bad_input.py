import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.inputs.calls import image_seeds
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import (
    AutoregressiveModel,
    GatedPixelCNN,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from keras_genimg.networks import pixel_stack
from keras_genimg.ops.checks import check_temperature
from tests.inputs.sources import small


@pytest.fixture(scope="module")
def model():
    return small(shape=(4, 5, 1))


IMAGES = np.zeros((4, 4, 5, 1), "uint8")


@pytest.mark.parametrize("call", ["log_prob", "bits_per_dim"])
def test_numbers_of_images_have_no_sample_weights(model, call):
    """Elements of three are images, no targets and weights, which `fit` takes."""
    weighted = tf.data.Dataset.from_tensor_slices((IMAGES, IMAGES, np.ones(4)))
    with pytest.raises(ValueError, match="elements are 3-tuples"):
        getattr(model, call)(weighted.batch(2))


@pytest.mark.parametrize("call", ["fit", "evaluate", "log_prob", "bits_per_dim"])
@pytest.mark.parametrize(
    "images, text",
    [
        (IMAGES[..., 0], r"add the color axis.*received: shape=\(4, 4, 5\)"),
        (np.zeros((4, 4, 5, 3)), r"\(None, 4, 5, 1\).*received: shape=\(4, 4, 5, 3\)"),
        (np.zeros((4, 5, 4, 1)), r"received: shape=\(4, 5, 4, 1\)"),
        (np.zeros((4, 1, 4, 5)), r"move the color axis.*shape=\(4, 1, 4, 5\)"),
        (np.zeros((0, 4, 5, 1)), "received no images"),
        (IMAGES + 2, r"integers from 0 to 1.*received: values from 2 to 2"),
        (IMAGES - 1.0, "values from -1.0 to -1.0"),
        (IMAGES + 0.5, r"integers.*values from 0.5"),
        (IMAGES + np.nan, "values from nan"),
        (IMAGES + 1j, "real numbers. received: dtype complex128"),
        (IMAGES.astype(str), "real numbers. received: dtype <U"),
        (IMAGES.astype("M8[s]"), r"real numbers. received: dtype datetime64\[s\]"),
        ([[[1], [1, 0]]], r"lists of equal lengths. received: images=\[\[1\], \[1, 0"),
        ({"pictures": IMAGES}, r"takes the inputs \['images'\].*pictures"),
    ],
)
def test_images_that_do_not_fit(model, call, images, text):
    with pytest.raises(ValueError, match=f"(?is){text}"):
        getattr(model, call)(images)


def dataset(images):
    return tf.data.Dataset.from_tensor_slices(images).batch(2)


@pytest.mark.parametrize("call", ["fit", "evaluate", "log_prob"])
def test_data_sets_that_do_not_fit(model, call):
    pairs = tf.data.Dataset.zip(dataset(IMAGES), dataset(IMAGES))
    for data, text in (
        (dataset(IMAGES[:0]), "received an empty data set"),
        (dataset(IMAGES[..., 0]), r"Received: shape=\(None, 4, 5\)"),
        (pairs, r"takes no targets.*`.map\(lambda images, y: images\)`"),
        # TensorFlow would cast complex numbers to their real parts.
        (dataset((IMAGES + 1j).astype("complex64")), "real numbers. .* complex64"),
    ):
        with pytest.raises(ValueError, match=text):
            getattr(model, call)(data)


def test_data_sets_that_turn_out_to_be_empty(model):
    none = dataset(IMAGES).filter(lambda images: False)
    for data in (none, tf.data.Dataset.from_tensors(IMAGES[:0])):
        with pytest.raises(ValueError, match="^cnn.log_prob received no images"):
            model.log_prob(data)


def test_compile_refuses_a_loss(model):
    with pytest.raises(ValueError, match="leave `loss` out"):
        model.compile("adam", loss="mse")


BAD_ARGUMENTS = {
    "num_images": [0, 1.5],
    "batch_size": [0],
    "seed": [-1, 0.5, 2**62, [1, 2, 3], [1, [2]]],
    "method": ["magic"],
    "temperature": [0, -1.0, np.inf, np.nan, "1", None, [0.5], np.ones(2), 10**400, 1j],
    "image_size": [5, (3, 5)],
}


@pytest.mark.parametrize(
    "name, value",
    [(name, value) for name, values in BAD_ARGUMENTS.items() for value in values],
    ids=str,
)
def test_generate_refuses(model, name, value):
    with pytest.raises(ValueError, match=re.escape(f"Received: {name}={value!r}")):
        model.generate(**{"num_images": 2, name: value})


def test_conditions_that_a_model_does_not_have(model):
    text = r"must give the inputs \[\].*Received: \['list'\]"
    with pytest.raises(ValueError, match=text):
        model.generate(2, conditions=[1, 2])


def test_temperatures_without_an_axis():
    for temperature in (1, np.float32(0.5), np.array(0.5), tf.constant(2)):
        check_temperature(temperature)


@pytest.mark.parametrize(
    "call",
    [
        lambda model: model.generate(2),
        lambda model: model.complete(tf.zeros_like(IMAGES), IMAGES[..., 0]),
        lambda model: model.log_prob(IMAGES),
    ],
)
def test_arrays_are_not_returned_in_graphs(model, call):
    with pytest.raises(RuntimeError, match="(?i)numpy arrays.*outside of `tf.function"):
        tf.function(lambda: call(model))()


def test_the_largest_seeds():
    largest = 2**62 - 1
    for seed in (largest - 1, np.uint64(largest - 1), [largest - 1, largest]):
        np.testing.assert_array_equal(image_seeds(2, seed), [largest - 1, largest])
    for seed in (largest, np.uint64(2**63 + 1)):
        with pytest.raises(ValueError, match="from 0 to 2"):
            image_seeds(2, seed)


@pytest.mark.parametrize("family", [PixelCNN, GatedPixelCNN])
@pytest.mark.parametrize(
    "name, value",
    [
        ("units", 0),
        ("num_blocks", 0),
        ("kernel_size", 4),
        ("first_kernel_size", 1),
        ("num_head_layers", -1),
        ("num_head_layers", 1.5),
        *((name, None) for name in ("units", "head_filters", "num_head_layers")),
    ],
)
def test_sizes_of_networks(family, name, value):
    good = {"image_shape": (4, 4, 1), "units": 4, "num_blocks": 1}
    with pytest.raises(ValueError, match=f"`{name}` of {family.__name__}.*{value}"):
        family(**{**good, name: value})


GRAY, RGB = (4, 4, 1), (4, 4, 3)


@pytest.mark.parametrize(
    "make, text",
    [
        (lambda: PixelCNN((4, 4), 4, 1), r"`image_shape`.*\(4, 4\)"),
        (lambda: PixelCNN(4, 4, 1), "`image_shape`.*image_shape=4"),
        (lambda: PixelCNN((4, 4, 0), 4, 1), "colors=0"),
        (lambda: PixelCNN((0, 4, 1), 4, 1), "height=0"),
        (lambda: PixelCNN(RGB, 2, 1), "`units` of PixelCNN.*num_colors=3"),
        (lambda: PixelRNN(RGB, 2, 1), "`units` of PixelRNN.*units=2"),
        (lambda: PixelRNN(RGB, 2, 1, residual=False, skip=False), "`units` of PixelR"),
        (lambda: GatedPixelCNN(RGB, 2, 1), "`units` of GatedPixelCNN.*units=2"),
        (lambda: MultiScalePixelRNN(RGB, (2, 4), 2, 1), "`units` of PixelRNN.*units=2"),
        (lambda: PixelCNN(RGB, 4, 1, head_filters=2), "`head_filters` of PixelCNN.*=3"),
        (lambda: PixelRNN(GRAY, 4, 1, layer="up"), "'diagonal', 'row'.*'up'"),
        (lambda: PixelRNN(GRAY, 4, 1, likelihood="gauss"), "likelihood='gauss'"),
        (lambda: PixelRNN(GRAY, 4, 1, num_classes=0), "num_classes=0"),
        (
            lambda: PixelRNN(GRAY, 4, 1, num_classes=2, condition_shape=(4, 4, 1)),
            "not both",
        ),
        (lambda: Categorical(1), "num_values=1"),
        (
            lambda: pixel_stack(keras.Input((3, 4, 1)), None, 0, 2, None),
            "`depth` of pixel_stack.*at least 1",
        ),
    ],
)
def test_constructors_refuse(make, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        make()


def test_a_graph_must_fit_the_likelihood(model):
    with pytest.raises(ValueError, match=r"parameters of shape \(None, 4, 5, 1, 256\)"):
        AutoregressiveModel(model.inputs, model.outputs[0], "categorical")
