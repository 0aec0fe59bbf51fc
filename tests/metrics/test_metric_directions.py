import keras
import numpy as np
import pytest

from keras_genimg.models import VAE
from tests.conformance.registry import MODELS

NAMES = {
    "PixelCNN_classes": ["val_loss", "val_bits_per_dim", "bits_per_dim"],
    "VAE": ["val_loss", "val_kl", "val_reconstruction", "val_elbo", "elbo"],
}


@pytest.mark.parametrize("name", NAMES)
def test_early_stopping_knows_the_direction(name):
    model, x = MODELS[name].make(), MODELS[name].example(8)
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    stoppers = [
        keras.callbacks.EarlyStopping(each, patience=9, mode="auto")
        for each in NAMES[name]
    ]
    options = {"epochs": 3, "verbose": 0, "callbacks": stoppers}
    history = model.fit(x, validation_data=x, **options).history
    for stopper in stoppers:
        values = history[stopper.monitor]
        assert min(values) < max(values)
        best = max if stopper.monitor.endswith("elbo") else min
        assert stopper.best == best(values), stopper.monitor


def test_latent_models_report_each_value_once():
    model, x = MODELS["VAE"].make(), MODELS["VAE"].example(8)
    model.compile("sgd", metrics=["mse"], run_eagerly=True)
    model(x + 100.0)  # Must not count in the first epoch.
    names = ["loss", "reconstruction", "kl", "elbo", "mse"]
    logs = model.fit(x, verbose=0).history
    assert set(logs) == set(names)
    # `evaluate` lists the values in the order of the names.
    loss, reconstruction, kl, elbo, _ = model.evaluate(x, verbose=0)
    np.testing.assert_allclose([elbo, -elbo], [-loss, reconstruction + kl], rtol=1e-5)
    assert 0 < kl < reconstruction
    config = model.get_compile_config()
    assert config["metrics"] == ["mse"]
    again = VAE.from_config(model.get_config())
    again.compile_from_config(config)
    assert set(again.test_on_batch(x, return_dict=True)) == set(names)
