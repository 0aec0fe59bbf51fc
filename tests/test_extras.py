import re

from tests.subprocesses import ROOT

FILES = sorted([*ROOT.glob("export/**/*.py"), *ROOT.glob("keras_genimg/**/*.py")])


def extras():
    text = (ROOT / "pyproject.toml").read_text()
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    return set(re.findall(r"^([\w-]+) = \[", table, re.MULTILINE))


def test_hints_name_extras_that_exist():
    named = []
    for path in FILES:
        text = path.read_text()
        named += re.findall(r"install_hint\([\"']([\w-]+)[\"']\)", text)
        named += re.findall(r"optional\([^\n]+, [\"']([\w-]+)[\"']", text)
        named += re.findall(r"pip install [^\n]*[.g]\[([\w-]+)\]", text)
    expected = {"examples", "photos", "serving", "tensorboard"}
    assert set(named) == expected | {"bulk", "bulk-ray", "bulk-beam"} <= extras()
