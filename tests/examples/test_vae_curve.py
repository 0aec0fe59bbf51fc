import csv

import pytest
from PIL import Image

from tests.examples.test_latent_models import nats


@pytest.mark.slow
@pytest.mark.weekly
def test_bounds_are_written_and_plotted(run_example, tmp_path):
    options = ["--data", "digits", "--epochs", 1, "--output", tmp_path]
    output = run_example("vae_curve.py", *options)
    with open(tmp_path / "vae_curve.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["optimizer", "training images", "train, nats", "test, nats"]
    curves = {}
    for label, seen, *bounds in rows:
        curves.setdefault(label, []).append((int(seen), *map(float, bounds)))
    # The chosen rate is that of the best first bound.
    first = {
        rate: nats(output, f"Adagrad, rate {rate}: first bound ")
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
