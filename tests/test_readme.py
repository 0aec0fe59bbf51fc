import re

import pytest

from tests.subprocesses import ROOT, run_python


@pytest.mark.slow
def test_the_script_runs_as_printed(tmp_path):
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    script = "\n".join(blocks).replace("epochs=10", "epochs=1")
    (tmp_path / "script.py").write_text(script)
    output = run_python("script.py", cwd=tmp_path)
    assert "bits_per_dim" in output
    written = tmp_path / "readme"  # Of its own, so that nothing else is in the way.
    assert (written / "digits.png").exists() and (written / "colors.png").exists()
    assert (written / "served" / "digits" / "1" / "saved_model.pb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "readme"}
