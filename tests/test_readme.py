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
    assert (tmp_path / "drawn.png").exists()
    assert (tmp_path / "served" / "digits" / "1" / "saved_model.pb").exists()


def test_continuous_integration_runs_the_commands_of_the_readme():
    run = (ROOT / ".ci" / "run").read_text()
    for command in (
        "pytest -n 2",
        "examples/quickstart.py",
        '".[examples,serving,test]"',
    ):
        assert command in README
        assert command in run
