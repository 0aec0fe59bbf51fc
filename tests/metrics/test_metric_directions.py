import keras
import numpy as np
import pytest

from keras_genimg.models import VAE, PixelCNN

IMAGES = np.random.default_rng(0).integers(0, 2, (8, 4, 5, 1)).astype("float32")


@pytest.mark.parametrize(
    "make, names",
    [
        (
            lambda: PixelCNN((4, 5, 1), 3, 1, first_kernel_size=3),
            ["val_loss", "val_bits_per_dim", "bits_per_dim"],
        ),
        (
            lambda: VAE((4, 5, 1), 2, 4, weight_stddev=0.5),
            ["val_loss", "val_kl", "val_reconstruction", "val_elbo", "elbo"],
        ),
    ],
    ids=["PixelCNN", "VAE"],
)
def test_early_stopping_knows_the_direction(make, names):
    model = make()
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    stoppers = [
        keras.callbacks.EarlyStopping(n, patience=9, mode="auto") for n in names
    ]
    options = {"epochs": 3, "verbose": 0, "callbacks": stoppers}
    history = model.fit(IMAGES, validation_data=IMAGES, **options).history
    for name, stopper in zip(names, stoppers, strict=True):
        assert min(history[name]) < max(history[name])
        best = max if name.endswith("elbo") else min
        assert stopper.best == best(history[name]), name


def test_latent_models_report_each_value_once():
    model = VAE((4, 5, 1), 2, 4)
    model.compile("sgd", metrics=["mse"], run_eagerly=True)
    model(IMAGES + 100)  # Must not count in the first epoch.
    names = ["loss", "reconstruction", "kl", "elbo", "mse"]
    logs = model.fit(IMAGES, verbose=0).history
    assert set(logs) == set(names)
    # `evaluate` lists the values in the order of the names.
    loss, reconstruction, kl, elbo, _ = model.evaluate(IMAGES, verbose=0)
    np.testing.assert_allclose([elbo, -elbo], [-loss, reconstruction + kl], rtol=1e-5)
    assert 0 < kl < reconstruction
    config = model.get_compile_config()
    assert config["metrics"] == ["mse"]
    again = VAE.from_config(model.get_config())
    again.compile_from_config(config)
    assert set(again.test_on_batch(IMAGES, return_dict=True)) == set(names)
