"""Training on a GPU with XLA, in half precision, and with replicas."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import PixelCNN
from tests.conformance.registry import MODELS
from tests.conformance.replicas import REPLICATED, check_same, train_model
from tests.gpu.placement import CPU, assert_close, assert_on, on
from tests.serving.some_endpoints import check_export


def fit(case, weights=None, jit_compile=False, epochs=4, **options):
    """Return the trained model and its losses."""
    keras.utils.set_random_seed(4)
    model = case.make()
    if weights is not None:
        model.set_weights(weights)
    model.compile(keras.optimizers.SGD(0.02), jit_compile=jit_compile)
    history = model.fit(case.example(), epochs=epochs, verbose=0, **options).history
    return model, history


@pytest.mark.parametrize("name", MODELS)
def test_a_gpu_trains_as_the_cpu(name, device):
    """On uneven batches. The noise of models that draw it is the same on both."""
    with on(CPU):  # Some initializers decompose matrices, in another way on each kind.
        weights = MODELS[name].make().get_weights()
    trained = []
    for kind in (device, CPU):
        with on(kind):
            options = {"epochs": 1, "batch_size": 3, "shuffle": False}
            model, losses = fit(MODELS[name], weights, **options)
            assert_on(kind, [weight.value for weight in model.trainable_weights])
        trained.append((losses, model.get_weights()))
    assert_close(*trained)


@pytest.mark.parametrize("name", MODELS)
def test_xla_trains_as_without(name, device):
    case = MODELS[name]
    plain, losses = fit(case)
    model, with_xla = fit(case, jit_compile=True)
    for key, values in losses.items():
        if case.random:  # XLA draws other noise.
            assert np.isfinite(with_xla[key]).all()
        else:
            np.testing.assert_allclose(with_xla[key], values, rtol=1e-4, err_msg=key)
            check_same(name, model.get_weights(), plain.get_weights())


@pytest.mark.parametrize("name", ["PixelCNN_classes", "PixelRNN_diagonal", "DRAW"])
def test_xla_is_the_default_on_a_gpu(name, device):
    model, losses = fit(MODELS[name], jit_compile="auto")
    assert model.jit_compile == bool(tf.config.list_physical_devices("GPU"))
    assert np.isfinite(losses["loss"]).all()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_mixed_float16_trains_as_float32(name, jit_compile, device):
    case = MODELS[name]
    full, losses = fit(case)
    keras.utils.set_random_seed(4)
    weights = case.make().get_weights()
    keras.mixed_precision.set_global_policy("mixed_float16")
    half, half_losses = fit(case, weights, jit_compile=jit_compile)
    assert isinstance(half.optimizer, keras.optimizers.LossScaleOptimizer)
    assert_on(device, [weight.value for weight in half.trainable_weights])
    assert all(weight.dtype == "float32" for weight in half.trainable_weights)
    options = {} if case.num_classes is None else {"conditions": [0, 1]}
    drawn = half.generate(2, seed=0, **options)
    assert np.isfinite(drawn).all() and drawn.shape == (2, *case.shape)
    if jit_compile and case.random:  # XLA draws other noise.
        assert np.isfinite(half_losses["loss"]).all()
    else:
        np.testing.assert_allclose(half_losses["loss"], losses["loss"], rtol=0.02)


# Keras warns where it learns the number of batches by reading them.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("name", REPLICATED)
def test_mirrored_trains_as_one_and_is_exported(name, device, tmp_path):
    """On all devices, and on the first."""
    names = [each.name for each in tf.config.list_logical_devices(device)]
    case = MODELS[name]
    model, losses = train_model(tf.distribute.MirroredStrategy(names), case)
    other, other_losses = train_model(tf.distribute.OneDeviceStrategy(names[0]), case)
    for key, values in other_losses.items():
        np.testing.assert_allclose(losses[key], values, rtol=1e-4, err_msg=key)
    check_same(name, model.get_weights(), other.get_weights())
    check_export(model, tmp_path)


def test_pixels_out_of_range_are_refused(device):
    """Also inside a step, and under XLA, where the host learns of it after the step."""
    images = np.zeros((4, 3, 4, 1), "uint8")
    images[2] = 7
    data = tf.data.Dataset.from_tensor_slices(images).batch(4)
    for jit_compile in (False, True):
        model = PixelCNN((3, 4, 1), 4, 1)
        model.compile("sgd", jit_compile=jit_compile)
        with pytest.raises(ValueError, match="Training of .* expects pixels.* 7"):
            model.fit(data, verbose=0)
