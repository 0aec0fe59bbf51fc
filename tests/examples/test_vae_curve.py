import csv

import numpy as np
import pytest
from PIL import Image

from tests.examples.test_latent_models import nats


@pytest.mark.slow
@pytest.mark.weekly
def test_bounds_are_written_and_plotted(run_example, tmp_path):
    options = ["--optimizers", "adagrad", "adam", "--epochs", 1, "--output", tmp_path]
    output = run_example("vae_curve.py", *options)
    with open(tmp_path / "vae_curve.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:3] == ["latents", "optimizer", "training images"]
    curves = {}
    for latents, label, seen, *bounds in rows:
        assert latents == "2"
        curves.setdefault(label, []).append((int(seen), *map(float, bounds)))
    # The chosen rate is that of the best first bound.
    first = {
        rate: nats(output, f"2 latents, Adagrad, rate {rate}: first bound ")
        for rate in (0.01, 0.02, 0.1)
    }
    best = max(first, key=first.get)
    assert list(curves) == [f"Adagrad, rate {best}", "Adam, rate 0.001"]
    for points in curves.values():
        seen = [point[0] for point in points]
        assert seen == [100 * (k + 1) for k in range(14)]
        # Half a nat per pixel is lost to noise before training.
        assert all(-64 < bound < 0 for _, *bounds in points for bound in bounds)
        assert points[-1][1] > points[0][1] and points[-1][2] > points[0][2]
    # The same weights and rate as in the choice, on another order of the data.
    assert abs(curves[f"Adagrad, rate {best}"][-1][1] - first[best]) < 1
    with Image.open(tmp_path / "vae_curve.png") as picture:
        assert picture.size == (640, 400)


@pytest.mark.slow
def test_frey_face_with_several_numbers_of_latents(run_example, tmp_path):
    """Pictures of noise, in the form of the published file."""
    scipy_io = pytest.importorskip("scipy.io")
    frames = np.random.default_rng(0).integers(0, 256, (560, 250), np.uint8)
    path = tmp_path / "frey_rawface.mat"
    scipy_io.savemat(path, {"ff": frames})
    options = ["--latents", 1, 2, "--epochs", 1, "--output", tmp_path]
    output = run_example("vae_curve.py", "--data", path, *options)
    rows = (tmp_path / "vae_curve.csv").read_text().splitlines()[1:]
    assert [row[:2] for row in rows] == ["1,", "1,", "2,", "2,"]
    assert "2 latents, Adagrad, rate 0." in output
    assert (tmp_path / "vae_curve.png").exists()
