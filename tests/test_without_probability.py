"""What works where TensorFlow Probability and the extra `serving` are missing."""

import pytest

from tests.subprocesses import run_python

SCRIPT = """
import sys
sys.modules["tensorflow_probability"] = sys.modules["tensorflow_serving"] = None
import numpy as np
from tests.conformance.registry import MODELS

for name in ("MultiScalePixelRNN", "PixelRNN_row", "PixelCNN_mixture"):
    model, images = MODELS[name].make(), MODELS[name].example(8)
    model.check_causality = False
    model.compile("adam", run_eagerly=True)
    model.fit(images, verbose=0)
    assert np.isfinite(model.log_prob(images)).all()
    known = np.eye(*model.image_shape[:2])
    assert model.complete(images, known, seed=0).shape == images.shape
    print(name)
model.export(f"{sys.argv[1]}/model", verbose=False)

draw, images = MODELS["DRAW"].make(), MODELS["DRAW"].example()
draw.compile("adam", run_eagerly=True)
for need in (MODELS["VAE"].make, lambda: draw.fit(images), lambda: draw.elbo(images)):
    try:
        need()
    except ImportError as error:
        assert 'pip install "tensorflow-probability[tf]"' in str(error), error
        print("named")
"""


@pytest.mark.slow
def test_models_without_latents_work_and_latents_name_what_is_missing(tmp_path):
    printed = run_python("-c", SCRIPT, tmp_path).split()
    assert printed[:3] == ["MultiScalePixelRNN", "PixelRNN_row", "PixelCNN_mixture"]
    assert printed[3:] == ["named"] * 3
