import numpy as np
import pytest
from PIL import Image

from tests.subprocesses import ROOT, run_python

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def nats(output, before, after=" nats"):
    """Return the number between two strings in the output."""
    return float(output.split(before)[1].split(after)[0])


def test_vae_draws_the_plane_of_its_latents(run_example, tmp_path):
    arguments = ["--epochs", 2, "--samples", 5, "--output", tmp_path]
    output = run_example("vae_digits.py", *arguments)
    elbo = nats(output, "300 test images: ELBO ")
    assert elbo <= nats(output, "bound of 5 samples ") < 0
    with Image.open(tmp_path / "manifold.png") as plane:
        assert plane.size == (20 * 8 * 4, 20 * 8 * 4)
    assert (tmp_path / "digits.png").exists()
    assert (tmp_path / "model.keras").exists()


@pytest.mark.parametrize("two_digits", [[], ["--two-digits"]])
def test_draw_shows_its_canvases_from_a_new_and_from_a_saved_model(
    two_digits, run_example, tmp_path
):
    script = "draw_digits.py"
    new, again = tmp_path / "new", tmp_path / "again"
    given = ["--samples", 3, *two_digits]
    output = run_example(script, *given, "--epochs", 2, "--output", new)
    saved = [*given, "--model", new / "model.keras", "--output", again]
    # In a new process, the script itself must import the model's class.
    assert nats(output, "300 test images: ELBO ") == nats(
        run_python(ROOT / "examples" / script, *saved), "300 test images: ELBO "
    )
    for name in ("drawn.gif", "reconstructed.gif"):
        with Image.open(new / name) as first, Image.open(again / name) as second:
            assert first.n_frames == second.n_frames > 1
            np.testing.assert_array_equal(first.convert("RGB"), second.convert("RGB"))
    assert (new / "kl.png").exists()


@pytest.mark.parametrize("convolutional", [False, True])
def test_classifier_of_cluttered_digits(convolutional, run_example, tmp_path):
    arguments = ["--epochs", 1, "--units", 16, "--size", 4, "--glimpses", 3]
    if convolutional:
        arguments = ["--epochs", 1, "--convolutional"]
    script = "classify_cluttered_digits.py"
    output = run_example(script, *arguments, "--output", tmp_path)
    assert 0 < nats(output, "cluttered test images: ", "%") < 100
    if convolutional:
        assert not list(tmp_path.iterdir())
    else:
        with Image.open(tmp_path / "glimpses.gif") as picture:
            assert picture.n_frames > 1
