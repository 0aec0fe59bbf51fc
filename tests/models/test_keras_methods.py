"""Methods of `keras.Model` that the library leaves to Keras, or hardly changes."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN
from tests.fitting.one_convolution import one_convolution
from tests.inputs.sources import IMAGES, LABELS

BYTES = IMAGES.astype("uint8")
LATENT = {
    "VAE": lambda: VAE((3, 4, 1), 2, 4),
    "DRAW": lambda: DRAW((3, 4, 1), 2, 4, 2, read_size=2, write_size=2),
}


@pytest.fixture(scope="module")
def model():
    return one_convolution((3, 4, 1))


@pytest.mark.parametrize("images", [BYTES, IMAGES, tf.constant(IMAGES)])
def test_predict_returns_the_parameters_of_a_call_as_an_array(model, images):
    params = model.predict(images, verbose=0)
    assert isinstance(params, np.ndarray) and params.dtype == "float32"
    np.testing.assert_allclose(params, model(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_predict_puts_batches_together(model, batch_size):
    params = model.predict(IMAGES[:7], batch_size=batch_size, verbose=0)
    np.testing.assert_allclose(params, model(IMAGES[:7]), rtol=1e-5, atol=1e-6)


def test_predict_takes_a_data_set_of_images(model):
    dataset = tf.data.Dataset.from_tensor_slices(BYTES).batch(3)
    params = model.predict(dataset, verbose=0)
    np.testing.assert_allclose(params, model(IMAGES), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "given",
    [[IMAGES, LABELS], {"label": LABELS, "images": BYTES}],
    ids=["list", "dict"],
)
def test_predict_takes_labels_too(given):
    model = PixelCNN((3, 4, 1), 2, 1, head_filters=2, num_classes=3)
    params = model.predict(given, batch_size=3, verbose=0)
    expected = model([IMAGES, LABELS])
    assert np.ptp(expected - model([IMAGES, 0 * LABELS])) > 1e-4
    np.testing.assert_allclose(params, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LATENT)
def test_predict_draws_latent_variables_as_a_call_does(name):
    """Two models with the same state draw the same numbers, call by call."""
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        models.append(LATENT[name]())
    model, twin = models
    for _ in range(2):
        params = model.predict(IMAGES, verbose=0)
        assert isinstance(params, np.ndarray) and params.shape == IMAGES.shape
        np.testing.assert_allclose(params, twin(IMAGES), rtol=1e-4, atol=1e-5)


def test_predict_puts_batches_of_latent_models_together():
    params = LATENT["VAE"]().predict(BYTES[:7], batch_size=3, verbose=0)
    assert params.shape == (7, 3, 4, 1) and np.isfinite(params).all()


def summary_of(model, **options):
    printed = []
    model.summary(print_fn=printed.append, **options)
    return "\n".join(printed)


def test_a_summary_has_name_layers_and_sizes():
    model = PixelCNN((3, 4, 1), 2, 1, head_filters=2, name="digits")
    printed = summary_of(model, line_length=120)
    assert '"digits"' in printed and "(None, 3, 4, 1)" in printed
    assert all(layer.name in printed for layer in model.layers)
    assert f"Total params: {model.count_params():,}" in printed


def test_a_summary_shows_a_nested_network_when_asked():
    images = keras.Input((3, 4, 1))
    inner = one_convolution((3, 4, 1))
    inner = keras.Model(inner.inputs, inner.outputs, name="inner")
    model = AutoregressiveModel(images, inner(images))
    (convolution,) = (layer for layer in inner.layers if layer.weights)
    assert convolution.name not in summary_of(model)
    assert convolution.name in summary_of(model, expand_nested=True)


HAS_PYDOT = importlib.util.find_spec("pydot") is not None


@pytest.mark.skipif(HAS_PYDOT, reason="pydot is installed")
@pytest.mark.parametrize("name", ["plot_model", "model_to_dot"])
def test_a_plot_needs_what_keras_says(name, model):
    with pytest.raises(ImportError, match=f"pip install pydot.*{name}"):
        getattr(keras.utils, name)(model)


@pytest.mark.skipif(not HAS_PYDOT, reason="needs pydot")
def test_a_plot_names_all_layers(model):
    dot = keras.utils.model_to_dot(model, show_layer_names=True).to_string()
    assert all(layer.name in dot for layer in model.layers)


def test_fit_reports_metrics_given_by_the_name_of_the_output():
    model = one_convolution((3, 4, 1))
    model.compile("sgd", metrics={"logits": "mae"}, run_eagerly=True)
    history = model.fit(IMAGES, validation_data=IMAGES, verbose=0).history
    expected = {"loss", "bits_per_dim", "mae"}
    assert set(history) == expected | {f"val_{name}" for name in expected}
    errors = np.abs(np.asarray(model(IMAGES)) - IMAGES)
    assert history["val_mae"][-1] == pytest.approx(errors.mean(), rel=1e-5)
