import csv

import numpy as np
import pytest
from PIL import Image

from tests.examples.printed import nats

pytestmark = pytest.mark.slow


def curves_of(folder):
    """Return `(images seen, train, test)` of each run."""
    with open(folder / "vae_curve.csv", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["run", "training images", "train, nats", "test, nats"]
    curves = {}
    for label, *numbers in rows:
        seen, train, test = map(float, numbers)
        curves.setdefault(label, []).append((int(seen), train, test))
    return curves


@pytest.mark.weekly
def test_bounds_are_written_and_plotted(run_example, tmp_path):
    command = "vae_curve.py --methods aevb aevb_adam --epochs 1 --output"
    output = run_example(command, tmp_path)
    curves = curves_of(tmp_path)
    # The chosen rate is that of the best first bound.
    first = {
        rate: nats(output, f"AEVB, 2 latents, rate {rate}: first ")
        for rate in (0.01, 0.02, 0.1)
    }
    best = max(first, key=first.get)
    labels = [f"AEVB, 2 latents, rate {best}", "AEVB with Adam, 2 latents, rate 0.001"]
    assert list(curves) == labels
    for points in curves.values():
        assert [point[0] for point in points] == [100 * (k + 1) for k in range(14)]
        # Half a nat per pixel is lost to noise before training.
        assert all(-64 < bound < 0 for _, *bounds in points for bound in bounds)
        assert points[-1][1] > points[0][1] and points[-1][2] > points[0][2]
    # The same weights and rate as in the choice, on another order of the data.
    assert abs(curves[labels[0]][-1][1] - first[best]) < 1
    with Image.open(tmp_path / "vae_curve.png") as picture:
        assert picture.size == (640, 400)


@pytest.mark.weekly
def test_other_ways_to_train_improve_the_likelihood_of_few_images(
    run_example, tmp_path
):
    command = "vae_curve.py --methods wake_sleep full_vb mcem --marginal --epochs 3"
    run_example(command, "--train-images", 300, "--output", tmp_path)
    curves = curves_of(tmp_path).values()
    wake_sleep, _, monte_carlo = curves
    for points in curves:
        assert -64 < points[0][2] < points[-1][2] < 0
    # By its second batch, five steps of the optimizer have been taken twice.
    assert monte_carlo[1][1] > wake_sleep[1][1]


def test_frey_face_with_several_numbers_of_latents(run_example, tmp_path, monkeypatch):
    """Pictures of noise, in the form of the published file."""
    scipy_io = pytest.importorskip("scipy.io")
    frames = np.random.default_rng(0).integers(0, 256, (560, 250), np.uint8)
    path = tmp_path / "frey_face" / "frey_rawface.mat"
    path.parent.mkdir()
    scipy_io.savemat(path, {"ff": frames})
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    command = "vae_curve.py --data frey_face --latents 1 2 --epochs 1 --output"
    run_example(command, tmp_path)
    labels = [label.rpartition(",")[0] for label in curves_of(tmp_path)]
    assert labels == ["AEVB, 1 latent", "AEVB, 2 latents"]
