"""What works where TensorFlow Probability and the extra `serving` are missing."""

import pytest

from tests.subprocesses import run_python

SCRIPT = """
import sys
sys.modules["tensorflow_probability"] = sys.modules["tensorflow_serving"] = None
import numpy as np
from keras_genimg import models

options = {"units": 4, "head_filters": 4, "first_kernel_size": 3}
for model in (
    models.PixelCNN((4, 4, 1), num_blocks=1, **options),
    models.PixelRNN((4, 4, 1), num_layers=1, likelihood="categorical", **options),
    models.MultiScalePixelRNN((4, 4, 3), scales=(2, 4), num_layers=1,
                              likelihood="logistic_mixture", **options),
):
    model.check_causality = False
    images = np.random.default_rng(0).integers(0, 2, (8, *model.image_shape), "uint8")
    model.compile("adam", run_eagerly=True)
    model.fit(images, verbose=0)
    assert np.isfinite(model.log_prob(images)).all()
    known = np.eye(4, dtype="uint8")
    assert model.complete(images, known, seed=0).shape == images.shape
    print(type(model).__name__)
model = models.PixelCNN((4, 4, 1), num_blocks=1, **options)
model.export(f"{sys.argv[1]}/model", verbose=False)

images = images[..., :1]
draw = models.DRAW((4, 4, 1), num_glimpses=2, units=4, latent_dim=2, read_size=2,
                   write_size=2)
draw.compile("adam", run_eagerly=True)
for need in (
    lambda: models.VAE((4, 4, 1), latent_dim=2, hidden_units=4),
    lambda: draw.fit(images, verbose=0),
    lambda: draw.elbo(images),
):
    try:
        need()
    except ImportError as error:
        assert 'pip install "tensorflow-probability[tf]"' in str(error), error
        print("named")
"""


@pytest.mark.slow
def test_models_without_latents_work_and_latents_name_what_is_missing(tmp_path):
    printed = run_python("-c", SCRIPT, tmp_path).split()
    assert printed == ["PixelCNN", "PixelRNN", "MultiScalePixelRNN", *["named"] * 3]
