import re

import numpy as np
import pytest
from PIL import Image

from keras_genimg.models import MultiScalePixelRNN
from tests.subprocesses import ROOT, run_python

SCRIPT = "complete_digits.py"


@pytest.mark.slow
@pytest.mark.weekly
def test_digits_are_completed_by_a_new_and_by_a_saved_model(run_example, tmp_path):
    new, again = tmp_path / "new", tmp_path / "again"
    output = run_example(SCRIPT, "--epochs", 1, "--output", new)
    nats = float(output.split(" nats for the lower half")[0].split()[-1])
    assert 0 < nats < 32 * np.log(17)
    # In a new process, the script itself must import the model's class.
    saved = run_python(
        ROOT / "examples" / SCRIPT, "--model", new / "digits.keras", "--output", again
    )
    assert f"{nats:.2f} nats" in saved and "Epoch" not in saved
    pictures = [np.asarray(Image.open(p / "completions.png")) for p in (new, again)]
    np.testing.assert_array_equal(*pictures)
    assert (again / "samples.png").stat().st_size > 0
    blue = (pictures[0][..., :3] == (120, 165, 215)).all(axis=-1)
    assert blue.sum() == 10 * 4 * 8 * 8**2  # The lower halves, each pixel 8 by 8.

    options = ["--known", "lower", "--candidates", 3]
    output = run_example(
        SCRIPT, "--model", new / "digits.keras", "--output", again, *options
    )
    rows = re.findall(r"^ *(\d+) +(-\d+\.\d+) nats +([\d.]+) +([\d.]+)$", output, re.M)
    assert [int(row[0]) for row in rows] == [1, 3]
    one, three = ([float(number) for number in row[1:]] for row in rows)
    assert one[1:] == [1, 1] and 1 < three[1] < 3
    original = float(output.split("originals")[1].split()[0])
    assert one[0] < three[0] < original


@pytest.mark.slow
def test_a_multi_scale_model_enlarges_too(run_example, tmp_path):
    model = MultiScalePixelRNN.from_preset("digits")
    model.save(tmp_path / "model.keras")
    options = ["--model", tmp_path / "model.keras", "--output", tmp_path]
    output = run_example(SCRIPT, *options)
    assert "nats" not in output
    for name in ("completions.png", "samples.png", "enlargements.png"):
        assert name in output and (tmp_path / name).stat().st_size > 0
    height, width, _ = np.asarray(Image.open(tmp_path / "enlargements.png")).shape
    # Ten rows of one small image, four enlargements and an original, 64 pixels each.
    assert width > 6 * 64 and height > 10 * 64
