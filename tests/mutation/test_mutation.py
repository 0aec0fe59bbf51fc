import textwrap

import pytest

from tests.mutation import coverage_map
from tests.mutation.covering import within

SOURCE = textwrap.dedent("""
    @cached
    def scaled(x, scale=2):
        if scale:
            return x * scale
        return x
""")


def test_the_smallest_statement_around_a_line_comes_first():
    assert coverage_map.enclosing(SOURCE, 5) == [(5, 5), (4, 5), (2, 6), (1, 6)]


@pytest.fixture
def map_of_scaled(tmp_path):
    """A map as a run of two tests would have written it."""
    data = coverage_map.coverage.CoverageData(
        basename=str(tmp_path / coverage_map.COVERAGE)
    )
    for test, lines in {
        "tests/ops/test_b.py::test_slow": [4, 5],
        "tests/ops/test_b.py::test_fast": [4, 5],
        "tests/models/test_a.py::test_fastest": [4, 6],
    }.items():
        data.set_context(f"{test}|run")
        data.add_lines({"keras_genimg/ops/scaled.py": lines})
    data.write()
    (tmp_path / coverage_map.SECONDS).write_text(
        '{"tests/ops/test_b.py::test_slow": 9, "tests/ops/test_b.py::test_fast": 2, '
        '"tests/models/test_a.py::test_fastest": 1}'
    )
    (tmp_path / coverage_map.COMMIT).write_text("0" * 40)
    return coverage_map.CoverageMap(tmp_path)


def test_tests_of_a_line(map_of_scaled):
    tests = map_of_scaled.tests_of("keras_genimg/ops/scaled.py", 5, SOURCE)
    assert list(tests) == [
        "tests/ops/test_b.py::test_fast",
        "tests/ops/test_b.py::test_slow",
    ]


def test_a_default_argument_has_the_tests_of_its_function(map_of_scaled):
    tests = map_of_scaled.tests_of("keras_genimg/ops/scaled.py", 3, SOURCE)
    assert len(tests) == 3
    assert list(tests)[-1] == "tests/models/test_a.py::test_fastest"


def test_tests_within_a_limit():
    tests = {"a": 9.0, "b": 1.0, "c": 2.0}
    assert within(tests, 10) == ["a", "b"]
    assert within(tests, 5) == ["a"]


def test_annotations_and_strict_zips_have_no_mutants():
    sampled = pytest.importorskip("tests.mutation.sampled")
    source = (
        "def f(x: int | None = 1 + 2) -> str | None: ...\nzip(a, b + 1, strict=True)"
    )
    assert sorted(sampled.silent_places(source)) == [
        ((1, 9), (1, 19)),
        ((1, 32), (1, 42)),
        ((2, 21), (2, 25)),
    ]


def test_outcomes_count_as_seen_or_not():
    report = pytest.importorskip("tests.mutation.report")
    found = [("killed", "", "")] * 6 + [("timed out", "", "")] * 2
    found += [("survived", "", "")] * 2 + [("equivalent", "", "")] * 5
    (row,) = report.table({"ops": found}).splitlines()[2:]
    assert row == "| ops | 15 | 6 | 2 | 2 | 5 | 0 | 80 % |"


def test_an_equivalent_mutant_is_known_by_its_lines(monkeypatch):
    report = pytest.importorskip("tests.mutation.report")
    known = {"file": "ops/a.py", "before": "x = 1", "after": "x = 2", "reason": "no"}
    monkeypatch.setattr(report, "EQUIVALENT", [known])
    diff = "--- a/ops/a.py\n+++ b/ops/a.py\n@@ -1 +1 @@\n-    x = 1\n+    x = 2"
    assert report.reason_of(diff) == "no"
    assert report.reason_of(diff.replace("x = 2", "x = 0")) is None
