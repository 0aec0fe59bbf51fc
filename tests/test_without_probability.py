"""What works where TensorFlow Probability and the extra `serving` are missing."""

import pytest

from tests.subprocesses import run_python

BLOCK = """
import sys
sys.modules["tensorflow_probability"] = sys.modules["tensorflow_serving"] = None
import numpy as np
from keras_genimg import likelihoods, models
"""


@pytest.mark.slow
def test_models_without_latents_train_draw_and_are_exported(tmp_path):
    script = """
options = {"units": 4, "head_filters": 4}
for model in (
    models.PixelCNN((4, 4, 1), num_blocks=1, likelihood="bernoulli", **options),
    models.PixelRNN((4, 4, 1), num_layers=1, layer="diagonal", **options,
                    likelihood=likelihoods.Categorical(3)),
    models.MultiScalePixelRNN((4, 4, 3), scales=(2, 4), num_layers=1, **options,
                              likelihood=likelihoods.DiscretizedLogisticMixture(3)),
):
    name = type(model).__name__
    images = np.random.default_rng(0).integers(0, 2, (8, *model.image_shape), "uint8")
    model.compile("adam")
    model.fit(images, verbose=0)
    assert model.generate(2, seed=0).shape == (2, *model.image_shape)
    known = np.eye(4, dtype="uint8")
    assert model.complete(images, known, seed=0).shape == images.shape
    assert np.isfinite(model.log_prob(images)).all()
    model.export(f"{sys.argv[1]}/{name}", verbose=False)
    print(name)
"""
    output = run_python("-c", BLOCK + script, tmp_path)
    assert output.split() == ["PixelCNN", "PixelRNN", "MultiScalePixelRNN"]


@pytest.mark.slow
def test_latent_variables_name_it():
    script = """
images = np.zeros((2, 4, 4, 1), "uint8")
draw = models.DRAW((4, 4, 1), num_glimpses=2, units=4, latent_dim=2, read_size=2,
                   write_size=2)
for need in (
    lambda: models.VAE((4, 4, 1), latent_dim=2, hidden_units=4),
    lambda: draw.compile("adam") or draw.fit(images, verbose=0),
    lambda: draw.elbo(images),
):
    try:
        need()
    except ImportError as error:
        assert 'pip install "tensorflow-probability[tf]"' in str(error), error
        print("named")
"""
    assert run_python("-c", BLOCK + script).split() == ["named"] * 3
