import re

import pytest

from tests.subprocesses import ROOT, run_python

README = (ROOT / "README.md").read_text()


@pytest.mark.slow
def test_the_script_runs_as_printed(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    script = "\n".join(blocks).replace("epochs=10", "epochs=1")
    (tmp_path / "script.py").write_text(script)
    output = run_python("script.py", cwd=tmp_path)
    assert "bits_per_dim" in output
    written = tmp_path / "readme"  # Of its own, so that nothing else is in the way.
    assert (written / "digits.png").exists() and (written / "colors.png").exists()
    assert (written / "served" / "digits" / "1" / "saved_model.pb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "readme"}


def test_continuous_integration_runs_the_commands_of_the_readme():
    run = (ROOT / ".ci" / "run").read_text()
    for command in (
        "pytest -n 2",
        "examples/quickstart.py",
        'pip install ".[examples,serving]"',
        'pip install ".[test]"',
    ):
        assert command in README
        assert command in run
