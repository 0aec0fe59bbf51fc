import pickle
import time
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.models import VAE
from tests.conformance import loading, replicas
from tests.conformance.registry import LAYERS, MODELS
from tests.seldom import slow_but
from tests.subprocesses import run_forked

CASES = pytest.mark.parametrize("case", MODELS.values(), ids=MODELS)


@pytest.mark.parametrize(
    "name", slow_but(MODELS, "PixelCNN_mixture", "PixelRNN_plain", "VAE", "DRAW")
)
def test_logits_are_float32_and_images_reproducible(name):
    case = MODELS[name]
    x = case.example()
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    assert case.make()(x).dtype == "float32"
    keras.mixed_precision.set_global_policy("float32")
    model = case.make()
    labels = {"conditions": x["label"][:2]} if isinstance(x, dict) else {}
    model.check_causality = False  # To save checks; latent models have none.
    drawn = model.generate(2, seed=5, **labels)
    assert drawn.shape[1:] == model.image_shape == case.shape
    assert drawn.max() < (case.num_values or 1)
    last = {name: values[1:] for name, values in labels.items()}
    # Means are real numbers, whose rounding depends on the batch; pixels differ by 1.
    again = model.generate(1, seed=6, **last)
    np.testing.assert_allclose(again, drawn[1:], atol=1e-5)


@pytest.mark.parametrize(
    "name", ["GatedPixelCNN", "MultiScalePixelRNN", "VAE_full_normal"]
)
def test_colors_are_last_whatever_keras_is_set_to(name, request):
    request.addfinalizer(lambda: keras.config.set_image_data_format("channels_last"))
    keras.config.set_image_data_format("channels_first")
    model = MODELS[name].make()
    layers = [x for x in model._flatten_layers() if hasattr(x, "data_format")]
    assert {layer.data_format for layer in layers} == {"channels_last"}


@pytest.mark.parametrize("name", ["VAE", "DRAW"])
def test_losses_add_up_in_any_float_type_of_keras(name, request):
    request.addfinalizer(lambda: keras.config.set_floatx("float32"))
    keras.config.set_floatx("float64")
    model = MODELS[name].make()
    model.compile("adam", run_eagerly=True)
    logs = model.train_on_batch(MODELS[name].example(), return_dict=True)
    np.testing.assert_allclose(logs["loss"], logs["kl"] + logs["reconstruction"], 1e-5)


# Tracing takes most of the time. Other models train in graphs in other tests.
IN_GRAPHS = ("PixelRNN_row", "VAE_full_normal")
FITTED_FAST = "PixelCNN GatedPixelCNN_classes MultiScalePixelRNN VAE DRAW".split()


@pytest.mark.parametrize("name", slow_but(MODELS, *FITTED_FAST))
def test_fits_and_reports(name):
    case = MODELS[name]
    model = case.make()
    model.check_causality = False  # Others test it.
    model.compile("adam", run_eagerly=name not in IN_GRAPHS)
    x = case.example(6)
    history = model.fit(x, batch_size=3, verbose=0, validation_data=x).history
    names = {"loss", "kl", "reconstruction", "elbo"}
    if not case.random:
        scales = getattr(model, "scales", ())
        names = {"loss", "bits_per_dim", *(f"nats_{h}x{w}" for h, w in scales)}
    assert set(history) == {*names, *(f"val_{name}" for name in names)}
    results = {name: history[f"val_{name}"][0] for name in names}
    if case.random:
        elbo = -results["kl"] - results["reconstruction"]
        np.testing.assert_allclose(results["elbo"], elbo, rtol=1e-5)
        penalty = sum(
            float(weight.regularizer(weight))
            for weight in model.trainable_weights
            if weight.regularizer
        )
        np.testing.assert_allclose(results["loss"], penalty - elbo, rtol=1e-4)
        assert np.isfinite(model.bits_per_dim(x)).all()
        return
    nats = -model.log_prob(x).mean()
    np.testing.assert_allclose(results["loss"], nats, rtol=1e-5)
    bits = nats / np.prod(model.image_shape) / np.log(2)
    np.testing.assert_allclose(results["bits_per_dim"], bits, rtol=1e-5)
    np.testing.assert_allclose(model.bits_per_dim(x).mean(), bits, rtol=1e-5)


@pytest.mark.slow
@CASES
def test_xla_compiles_a_step_once(case):
    """It compiled again for each batch, whose pixels it took for constants."""
    model = case.make()
    model.compile("sgd", jit_compile=True)
    seconds = []
    for seed in range(2):
        began = time.perf_counter()
        x = case.example(8, seed)
        history = model.fit(x, batch_size=2, verbose=0, validation_data=x).history
        seconds.append(time.perf_counter() - began)
        assert np.isfinite([history["loss"], history["val_loss"]]).all()
    if not case.random:  # `log_prob` runs without XLA, so it is a check.
        nats = -model.log_prob(x).mean()
        np.testing.assert_allclose(history["val_loss"], [nats], rtol=1e-4)
    assert seconds[1] < seconds[0] / 3


def test_the_first_step_is_traced_once():
    model = MODELS["VAE"].make()
    options = {"autospec": True, "side_effect": VAE.train_step}
    with mock.patch.object(VAE, "train_step", **options) as step:
        model.compile("adam")
        model.fit(MODELS["VAE"].example(), batch_size=2, epochs=2, verbose=0)
    assert step.call_count == 1


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not apply to tf.data functions")
def test_keras_files_load_in_a_fresh_process(request, tmp_path):
    # Tracing would take most of the time.
    request.addfinalizer(lambda: tf.config.run_functions_eagerly(False))
    tf.config.run_functions_eagerly(True)
    for name, case in {**LAYERS, **MODELS}.items():
        x = case.example()
        if name in LAYERS:
            half = "LSTM" in name or "Attention" in name
            model = case.model(dtype="mixed_bfloat16" if half else None)
        else:
            model = case.make()
            model.compile("adam", run_eagerly=True)
            model.fit(x, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        expected = pickle.dumps((x, loading.computed(model, x)))
        (tmp_path / f"{name}.pickle").write_bytes(expected)
    run_forked(loading.main, tmp_path, output=tmp_path / "printed")


@pytest.mark.slow
def test_two_replicas_train_as_one_and_refuse_as_one(tmp_path):
    run_forked(replicas.main, tmp_path, output=tmp_path / "printed")
