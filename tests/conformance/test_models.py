import json
import time

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


@CASES
def test_config_round_trips(case):
    model = case.make()
    assert model.image_shape == case.shape
    config = keras.saving.serialize_keras_object(model)
    revived = keras.saving.deserialize_keras_object(json.loads(json.dumps(config)))
    assert [w.shape for w in revived.weights] == [w.shape for w in model.weights]
    assert revived.likelihood == model.likelihood
    assert type(revived) is type(model)
    again = keras.saving.serialize_keras_object(revived)
    assert json.dumps(again["config"]) == json.dumps(config["config"])


@pytest.mark.parametrize("name", slow_but(MODELS, *[*MODELS][2::2]))
def test_logits_are_float32_and_images_reproducible(name):
    case = MODELS[name]
    x = case.example()
    for policy in ("mixed_bfloat16", "float32"):
        keras.mixed_precision.set_global_policy(policy)
        model = case.make()
        assert model(x).dtype == "float32"
    labels = {"conditions": x["label"][:2]} if isinstance(x, dict) else {}
    model.check_causality = False  # To save proofs; latent models have none.
    drawn = model.generate(2, seed=5, **labels)
    assert drawn.shape == (2, *model.image_shape)
    assert drawn.max() < (case.num_values or 1)
    last = {name: values[1:] for name, values in labels.items()}
    # Means are real numbers, whose rounding depends on the batch; pixels differ by 1.
    again = model.generate(1, seed=6, **last)
    np.testing.assert_allclose(again, drawn[1:], atol=1e-5)


CONVOLUTIONS = {
    "GatedPixelCNN": MODELS["GatedPixelCNN"].make,
    "MultiScalePixelRNN": MODELS["MultiScalePixelRNN"].make,
    "VAE": lambda: VAE((8, 8, 1), 2, 4, conv_filters=(3, 4)),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_colors_are_last_whatever_keras_is_set_to(name):
    keras.config.set_image_data_format("channels_first")
    try:
        model = CONVOLUTIONS[name]()
    finally:
        keras.config.set_image_data_format("channels_last")
    layers = [x for x in model._flatten_layers() if hasattr(x, "data_format")]
    assert {layer.data_format for layer in layers} == {"channels_last"}


@pytest.mark.parametrize("name", ["VAE", "DRAW"])
def test_losses_add_up_in_any_float_type_of_keras(name):
    case = MODELS[name]
    keras.config.set_floatx("float64")
    try:
        model = case.make()
        model.compile("adam", run_eagerly=True)
        logs = model.train_on_batch(case.example(), return_dict=True)
    finally:
        keras.config.set_floatx("float32")
    np.testing.assert_allclose(logs["loss"], logs["kl"] + logs["reconstruction"], 1e-5)


# Tracing takes most of the time. Other models train in graphs in other tests.
IN_GRAPHS = ("PixelRNN_row", "VAE_full_normal")
FITTED_FAST = """PixelCNN GatedPixelCNN_classes PixelRNN_diagonal MultiScalePixelRNN
    VAE DRAW""".split()


@pytest.mark.parametrize("name", slow_but(MODELS, *FITTED_FAST))
def test_fits_and_reports(name):
    case = MODELS[name]
    model = case.make()
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
    assert seconds[1] < seconds[0] / 3


def test_the_first_step_is_traced_once(monkeypatch):
    model = MODELS["VAE"].make()
    traces = []
    step = type(model).train_step

    def counted(self, data):
        traces.append(data)
        return step(self, data)

    monkeypatch.setattr(type(model), "train_step", counted)
    model.compile("adam")
    model.fit(MODELS["VAE"].example(), batch_size=2, epochs=2, verbose=0)
    assert len(traces) == 1


@pytest.mark.slow
@pytest.mark.weekly
def test_trains_under_xla_as_without():
    """One of the models, since all layers are tried under XLA on their own."""
    case = MODELS["PixelRNN_diagonal"]
    x = case.example()
    losses, weights = [], []
    for jit_compile in (False, True):
        keras.utils.set_random_seed(1)
        model = case.make()
        # Without XLA, the steps are the same in a graph, which is tested elsewhere.
        options = {"jit_compile": jit_compile, "run_eagerly": not jit_compile}
        model.compile(keras.optimizers.SGD(0.01), **options)
        history = model.fit(x, batch_size=4, epochs=2, verbose=0).history
        losses.append([*history.values()])
        weights.append(np.concatenate([w.ravel() for w in model.get_weights()]))
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-4)
    np.testing.assert_allclose(weights[1], weights[0], atol=1e-5)


@pytest.fixture
def eager_functions():
    """Run `tf.function`s eagerly: tracing would take most of the time."""
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.*does not apply to tf.data functions")
def test_keras_files_load_in_a_fresh_process(eager_functions, tmp_path):
    for name, case in LAYERS.items():
        half = "LSTM" in name or "Attention" in name
        model = case.model(dtype="mixed_bfloat16" if half else None)
        model.save(tmp_path / f"{name}.keras")
        example = case.example()
        outputs = np.asarray(model(example), "float32")
        if case.random:
            outputs = np.concatenate([w.ravel() for w in model.get_weights()])
        np.savez(tmp_path / f"{name}.npz", outputs=outputs, **example)
    for name, case in MODELS.items():
        model = case.make()
        model.compile("adam", run_eagerly=True)
        x = case.example()
        model.fit(x, verbose=0)
        model.save(tmp_path / f"{name}.keras")
        example = x if isinstance(x, dict) else {model.inputs[0].name: x}
        outputs = model.elbo(x, seed=0) if case.random else np.asarray(model(x))
        evaluation = [0] if case.random else model.evaluate(x, verbose=0)
        np.savez(
            tmp_path / f"{name}.npz", outputs=outputs, evaluation=evaluation, **example
        )
    output = run_forked(loading.main, tmp_path, output=tmp_path / "printed")
    assert output.count("loaded") == len(LAYERS) + len(MODELS)


@pytest.mark.slow
def test_two_replicas_train_as_one_and_refuse_as_one(tmp_path):
    output = run_forked(replicas.main, tmp_path, output=tmp_path / "printed")
    random = sum(case.random for case in LAYERS.values())
    assert output.count("other noise") == random
    num_trained = len(LAYERS) - random + len(replicas.REPLICATED)
    assert output.count("same weights") == num_trained
    assert output.count("from its export") == 3
    # The same process saves imports.
    for done in (
        "bad inputs refused",
        "leaks refused",
        "other scopes refused",
        "files written and pictures drawn",
        "data of all kinds",
        "custom training loop",
        "metrics of each replica",
    ):
        assert done in output
