"""Annotations of everything a user calls, and pyright on the README."""

import inspect
import json
import pathlib
import re
import subprocess
import sys
import typing

import pytest

import keras_genimg as kg
from tests.subprocesses import ROOT

# Overridden methods that Keras calls. It does not annotate them either.
KERAS_METHODS = {
    "build",
    "call",
    "compute_output_shape",
    "compute_output_spec",
    "convolution_op",
}


def public_functions(package):
    """Yield the functions, constructors, methods and properties, each with its name."""
    for name in package.__all__:
        thing = getattr(package, name)
        if inspect.isfunction(thing):
            yield name, thing
        bases = inspect.getmro(thing) if inspect.isclass(thing) else ()
        ours = [base for base in bases if base.__module__.startswith("keras_genimg.")]
        for number, base in enumerate(ours):
            # An override has the annotations of the method that it overrides.
            inherited = {name for other in ours[number + 1 :] for name in vars(other)}
            for method, value in vars(base).items():
                private = method.startswith("_") and method != "__init__"
                function = getattr(value, "fget", getattr(value, "__func__", value))
                if inspect.isfunction(function) and not private:
                    if method not in KERAS_METHODS | (inherited - {"__init__"}):
                        yield f"{base.__name__}.{method}", function


@pytest.mark.parametrize("package", sorted(set(kg.__all__) - {"__version__"}))
def test_signatures_are_annotated(package):
    missing = []
    for name, function in public_functions(getattr(kg, package)):
        expected = {*inspect.signature(function).parameters, "return"} - {"self", "cls"}
        if function.__name__ == "__init__":
            expected.remove("return")
        for part in sorted(expected - set(typing.get_type_hints(function))):
            missing.append(f"{name}: {part}")
    assert not missing


def test_pyright_accepts_the_readme(tmp_path):
    pytest.importorskip("pyright")
    readme, wrong = tmp_path / "readme.py", tmp_path / "wrong.py"
    text = (ROOT / "README.md").read_text()
    readme.write_text("\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL)))
    # A call that pyright must refuse, which shows that it sees the signatures.
    wrong.write_text("from keras_genimg.layers import RowLSTM\n\nRowLSTM('8')\n")
    command = [sys.executable, "-m", "pyright", "--pythonpath", sys.executable]
    finished = subprocess.run(
        [*command, "--outputjson", readme, wrong],
        capture_output=True,
        text=True,
        cwd=ROOT,  # For the settings in pyproject.toml.
    )
    if not finished.stdout.startswith("{"):
        pytest.skip(f"pyright does not run: {finished.stderr}")
    found = json.loads(finished.stdout)["generalDiagnostics"]
    assert [pathlib.Path(fault["file"]).name for fault in found] == ["wrong.py"], found
