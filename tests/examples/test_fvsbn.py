import re

import numpy as np
import pytest
from PIL import Image

from keras_genimg.datasets import as_array, load

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def test_logistic_autoregression_beats_independent_pixels(run_example, tmp_path):
    printed = run_example("fvsbn.py", "--output", tmp_path)
    nats = float(re.search(r"([\d.]+) nats", printed)[1])
    # Of independent pixels, when gray levels are the probabilities of 1.
    levels = [as_array(load("digits", s, intensities=True)) for s in ("train", "test")]
    p = np.clip(levels[0].mean(0), 1e-3, 1 - 1e-3)
    cross = levels[1] * np.log(p) + (1 - levels[1]) * np.log(1 - p)
    independent = -cross.sum((1, 2, 3)).mean()
    assert 10 < nats < independent - 1
    curve = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)["loss"]
    assert len(curve) == 40 and curve[-1] < curve[0]
    with Image.open(tmp_path / "drawn.png") as picture:
        assert picture.mode == "L"
