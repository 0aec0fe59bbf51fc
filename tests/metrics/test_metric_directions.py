import keras
import numpy as np
import pytest

from keras_genimg.models import VAE, PixelCNN

IMAGES = np.random.default_rng(0).integers(0, 2, (8, 4, 5, 1)).astype("float32")
LATENT = {
    "val_loss": min,
    "val_kl": min,
    "val_reconstruction": min,
    "val_elbo": max,
    "elbo": max,
}


@pytest.mark.parametrize(
    "make, monitored",
    [
        (
            lambda: PixelCNN((4, 5, 1), 3, 1, first_kernel_size=3),
            {"val_loss": min, "val_bits_per_dim": min, "bits_per_dim": min},
        ),
        (lambda: VAE((4, 5, 1), 2, 4, weight_stddev=0.5), LATENT),
    ],
    ids=["PixelCNN", "VAE"],
)
def test_early_stopping_knows_the_direction(make, monitored):
    model = make()
    model.compile(keras.optimizers.Adam(0.02), run_eagerly=True)
    stoppers = {
        name: keras.callbacks.EarlyStopping(name, patience=9, mode="auto")
        for name in monitored
    }
    history = model.fit(
        IMAGES,
        epochs=3,
        validation_data=IMAGES,
        verbose=0,
        callbacks=[*stoppers.values()],
    ).history
    for name, best in monitored.items():
        assert min(history[name]) < max(history[name])
        assert stoppers[name].best == best(history[name]), name


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
