"""Models saved by earlier versions still load and compute the same."""

import pathlib

import keras
import numpy as np
import pytest

import keras_genimg.models  # noqa: F401
from tests.sampling.drawn import TIE, assert_ancestral
from tests.seldom import slow_but

FILES = pathlib.Path(__file__).parent / "files"


@pytest.mark.parametrize("name", slow_but(["pixel_cnn", "pixel_rnn"], "pixel_cnn"))
def test_pixel_networks_from_before_networks_were_functions(name):
    model = keras.models.load_model(FILES / f"{name}_before_networks.keras")
    expected = dict(np.load(FILES / f"{name}_before_networks.npz"))
    label = expected.get("label")
    x = [expected["images"], label] if label is not None else expected["images"]
    np.testing.assert_array_equal([w.path for w in model.weights], expected["names"])
    # A layer without weights was renamed later.
    layers = [name.replace("centre", "center") for name in expected["layers"]]
    assert [layer.name for layer in model.layers] == layers
    # Not to the last bit, which differs between kinds of processors.
    half = model.dtype_policy.name == "mixed_bfloat16"
    tolerance = 0.02 if half else 1e-5
    np.testing.assert_allclose(model(x), expected["params"], tolerance, tolerance)
    conditions = None if label is None else [0, 1, 2]
    drawn = model.generate(3, seed=5, conditions=conditions)
    np.testing.assert_array_equal(drawn, expected["drawn"])
    assert model.optimizer.iterations == 1


@pytest.mark.slow
def test_color_images_from_before_rows_were_drawn_at_once():
    """The same images, except where rounding decides a tie.

    Six of them were chosen because they differ on some machine.
    """
    model = keras.models.load_model(FILES / "color_before_waves.keras")
    expected = dict(np.load(FILES / "color_before_waves.npz"))
    drawn = model.generate(len(expected["seeds"]), seed=expected["seeds"])
    for images in (drawn, expected["drawn"]):
        assert_ancestral(model, images, slack=TIE, seeds=expected["seeds"])


def test_a_vae_from_before_the_scale_of_its_posterior():
    model = keras.models.load_model(FILES / "vae_before_posterior_scale.keras")
    expected = np.load(FILES / "vae_before_posterior_scale.npz")
    assert model.latent.posterior.scale == "log_stddev"
    images = expected["images"]
    mean, stddev = model.encode(images)
    np.testing.assert_allclose(mean, expected["mean"], rtol=1e-5)
    np.testing.assert_allclose(stddev, expected["stddev"], rtol=1e-5)
    elbo = model.elbo(images, num_samples=5, seed=3)
    np.testing.assert_allclose(elbo, expected["elbo"], rtol=1e-5)
    drawn = model.generate(2, seed=4)
    np.testing.assert_allclose(drawn, expected["drawn"], rtol=1e-5)
