import pytest
import tensorflow as tf

from tests.gpu import report
from tests.subprocesses import run_python


@pytest.mark.slow
@pytest.mark.weekly
def test_page_of_a_rehearsal(tmp_path):
    page = tmp_path / "page.md"
    tests = "tests/gpu/test_numerics.py"
    run_python(
        *("-m", "tests.gpu.report", "--rehearse", "--output", page, "--tests", tests),
        timeout=None,
    )
    text = page.read_text()
    assert text.startswith("# the CPU, a rehearsal")
    assert "| tests.gpu.test_numerics |" in text and "No test failed." in text
    assert "### One DiagonalBiLSTM, forward and backward" in text
    assert [path.name for path in tmp_path.iterdir()] == ["page.md"]


def test_failures_are_named(tmp_path):
    results = tmp_path / "results.xml"
    results.write_text(
        '<testsuites><testsuite><testcase classname="a" name="right"/>'
        '<testcase classname="a" name="wrong"><failure message="1 != 2&#10;more"/>'
        '</testcase><testcase classname="a" name="left_out"><skipped/></testcase>'
        "</testsuite></testsuites>"
    )
    rows, failures = report.table_of_tests(results)
    assert rows[2:] == ["| a | 1 | 1 | 1 |"]
    assert failures == ["- `wrong`: 1 != 2"]


def test_a_report_needs_a_gpu(monkeypatch):
    if tf.config.list_physical_devices("GPU"):
        pytest.skip("needs a machine without a GPU")
    monkeypatch.setattr("sys.argv", ["report"])
    with pytest.raises(SystemExit, match="no GPU: .* add --rehearse"):
        report.main()
