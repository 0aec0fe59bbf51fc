import numpy as np
import pytest

from tests.subprocesses import ROOT, run_python

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def test_quickstart_runs_end_to_end(tmp_path):
    script = ROOT / "examples" / "quickstart.py"
    arguments = ["--epochs", "2", "--output", tmp_path]
    output = run_python(script, *arguments)
    assert "drew the same 64 images" in output
    table = output.split("bits/dim\n")[1].splitlines()[:3]
    nats = {row.split()[0]: float(row.split()[-2]) for row in table}
    assert nats["PixelRNN,"] < nats["independent"] < nats["uniform"]
    np.testing.assert_allclose(nats["uniform"], 64 * np.log(17), atol=0.01)
    for name in ("mnist.png", "digits.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "digits" / "1" / "saved_model.pb").exists()
    assert (tmp_path / "digits.keras").exists()
