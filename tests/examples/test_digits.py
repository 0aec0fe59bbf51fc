"""Examples that train on the digits of scikit-learn."""

import re

import numpy as np
import pytest
from PIL import Image

from keras_genimg.datasets import as_array, load
from keras_genimg.models import MultiScalePixelRNN, OrientedModel, PixelRNN
from tests.examples.printed import nats
from tests.subprocesses import ROOT, run_python

pytestmark = pytest.mark.slow
weekly = pytest.mark.weekly


@weekly
def test_quickstart_runs_end_to_end(tmp_path):
    script = ROOT / "examples" / "quickstart.py"
    output = run_python(script, "--epochs", "2", "--output", tmp_path)
    assert "drew the same 64 images" in output
    table = output.split("bits/dim\n")[1].splitlines()[:3]
    rows = {row.split()[0]: float(row.split()[-2]) for row in table}
    assert rows["PixelRNN,"] < rows["independent"] < rows["uniform"]
    np.testing.assert_allclose(rows["uniform"], 64 * np.log(17), atol=0.01)
    for name in ("mnist.png", "digits.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    with Image.open(tmp_path / "digits.png") as picture:  # Real, own and MNIST's.
        assert picture.width > 3 * 8 * 56
    assert (tmp_path / "digits" / "1" / "saved_model.pb").exists()
    assert (tmp_path / "digits.keras").exists()


@weekly
def test_logistic_autoregression_beats_independent_pixels(run_example, tmp_path):
    printed = run_example("fvsbn.py", "--output", tmp_path)
    found = float(re.search(r"([\d.]+) nats", printed)[1])
    # These are the nats of independent pixels with gray levels as probabilities of 1.
    levels = [as_array(load("digits", s, intensities=True)) for s in ("train", "test")]
    p = np.clip(levels[0].mean(0), 1e-3, 1 - 1e-3)
    cross = levels[1] * np.log(p) + (1 - levels[1]) * np.log(1 - p)
    assert 10 < found < -cross.sum((1, 2, 3)).mean() - 1
    curve = np.genfromtxt(tmp_path / "log.csv", delimiter=",", names=True)["loss"]
    assert len(curve) == 40 and curve[-1] < curve[0]
    with Image.open(tmp_path / "drawn.png") as picture:
        assert picture.mode == "L"


@weekly
def test_vae_draws_the_plane_of_its_latents(run_example, tmp_path):
    output = run_example("vae_digits.py --epochs 2 --samples 5 --output", tmp_path)
    elbo = nats(output, "300 test images: ELBO ")
    assert elbo <= nats(output, "bound of 5 samples ") < 0
    with Image.open(tmp_path / "manifold.png") as plane:
        assert plane.size == (20 * 8 * 4, 20 * 8 * 4)
    assert (tmp_path / "digits.png").exists()
    assert (tmp_path / "model.keras").exists()


@weekly
@pytest.mark.parametrize("given", ["--samples 3", "--samples 3 --two-digits"])
def test_draw_shows_its_canvases_from_a_new_and_from_a_saved_model(
    given, run_example, tmp_path
):
    new, again = tmp_path / "new", tmp_path / "again"
    output = run_example(f"draw_digits.py {given} --epochs 2 --output", new)
    saved = [*given.split(), "--model", new / "model.keras", "--output", again]
    # In a new process, the script itself must import the model's class.
    second = run_python(ROOT / "examples" / "draw_digits.py", *saved)
    elbo = "300 test images: ELBO "
    assert nats(output, elbo) == nats(second, elbo)
    for name in ("drawn.gif", "reconstructed.gif"):
        with Image.open(new / name) as first, Image.open(again / name) as second:
            assert first.n_frames == second.n_frames > 1
            np.testing.assert_array_equal(first.convert("RGB"), second.convert("RGB"))
    assert (new / "kl.png").exists()
    assert (new / "nearest.png").exists()


@weekly
@pytest.mark.parametrize(
    "options", ["--units 16 --size 4 --glimpses 3", "--convolutional"]
)
def test_classifier_of_cluttered_digits(options, run_example, tmp_path):
    command = f"classify_cluttered_digits.py --epochs 1 {options} --output"
    output = run_example(command, tmp_path)
    assert 0 < nats(output, "cluttered test images: ", "%") < 100
    if options == "--convolutional":
        assert not list(tmp_path.iterdir())
    else:
        with Image.open(tmp_path / "glimpses.gif") as picture:
            assert picture.n_frames > 1


@weekly
def test_digits_are_completed_by_a_new_and_by_a_saved_model(run_example, tmp_path):
    new, again = tmp_path / "new", tmp_path / "again"
    output = run_example("complete_digits.py --epochs 1 --output", new)
    found = float(output.split(" nats for the lower half")[0].split()[-1])
    assert 0 < found < 32 * np.log(17)
    # In a new process, the script itself must import the model's class.
    given = ["--model", new / "digits.keras", "--output", again]
    saved = run_python(ROOT / "examples" / "complete_digits.py", *given)
    assert f"{found:.2f} nats" in saved and "Epoch" not in saved
    pictures = [np.asarray(Image.open(p / "completions.png")) for p in (new, again)]
    np.testing.assert_array_equal(*pictures)
    assert (again / "samples.png").stat().st_size > 0
    blue = (pictures[0][..., :3] == (120, 165, 215)).all(axis=-1)
    assert blue.sum() == 10 * 4 * 8 * 8**2  # The lower halves, each pixel 8 by 8.

    output = run_example("complete_digits.py --known lower --candidates 3", *given)
    rows = re.findall(r"^ *(\d+) +(-\d+\.\d+) nats +([\d.]+) +([\d.]+)$", output, re.M)
    assert [int(row[0]) for row in rows] == [1, 3]
    one, three = ([float(number) for number in row[1:]] for row in rows)
    assert one[1:] == [1, 1] and 1 < three[1] < 3
    original = float(output.split("originals")[1].split()[0])
    assert one[0] < three[0] < original


def test_a_model_of_several_orders_completes_each_half(run_example, tmp_path):
    """In the picture, ten rows of four halves, a third of their pixels occluded."""
    network = PixelRNN.from_preset("digits_row", num_classes=8)
    OrientedModel(network).save(tmp_path / "model.keras")
    options = ["--model", tmp_path / "model.keras", "--output", tmp_path]
    output = run_example("complete_digits.py", *options)
    assert "nats" not in output
    for name in ("completions.png", "samples.png", "halves.png"):
        assert name in output and (tmp_path / name).stat().st_size > 0
    picture = np.asarray(Image.open(tmp_path / "halves.png"))[..., :3]
    blue = (picture == (120, 165, 215)).all(axis=-1)
    assert blue.sum() == 10 * 4 * 32 * 64


def test_a_multi_scale_model_enlarges_too(run_example, tmp_path):
    model = MultiScalePixelRNN.from_preset("digits")
    model.save(tmp_path / "model.keras")
    options = ["--model", tmp_path / "model.keras", "--output", tmp_path]
    output = run_example("complete_digits.py", *options)
    assert "nats" not in output
    for name in ("completions.png", "samples.png", "enlargements.png"):
        assert name in output and (tmp_path / name).stat().st_size > 0
    height, width, _ = np.asarray(Image.open(tmp_path / "enlargements.png")).shape
    # Ten rows of one small image, four enlargements and an original, 64 pixels each.
    assert width > 6 * 64 and height > 10 * 64
