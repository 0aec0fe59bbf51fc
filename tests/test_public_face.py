"""The public interface: imports, names, signatures and annotations."""

import importlib
import inspect
import json
import pathlib
import re
import subprocess
import sys
import typing

import keras
import pytest

import keras_genimg as kg
from keras_genimg import backend_check
from tests.subprocesses import ROOT, run_python

MODELS = [getattr(kg.models, name) for name in kg.models.__all__]
LSTMS = [kg.layers.RowLSTM, kg.layers.DiagonalBiLSTM]
PACKAGES = pytest.mark.parametrize("name", sorted(set(kg.__all__) - {"__version__"}))
# Overridden methods that Keras calls. It does not annotate them either.
KERAS_METHODS = set(
    "build call compute_output_shape compute_output_spec convolution_op".split()
)


@pytest.mark.slow
def test_imports_stay_light(tmp_path):
    """Importing the library imports no data sets, plots or serving protos."""
    script = """
import sys, time
import keras  # Keras imports matplotlib and scikit-learn if installed.
before = set(sys.modules)
began = time.process_time()
import keras_genimg as kg
assert time.process_time() - began < 0.5
assert "tensorflow_probability" not in sys.modules
for name in dir(kg):
    getattr(kg, name)
assert kg.layers.DiagonalBiLSTM and kg.visualization.save_grid
heavy = {"tensorflow_datasets", "matplotlib", "PIL", "sklearn", "tensorflow_serving"}
brought = heavy & (set(sys.modules) - before)
assert not brought, brought
print(kg.__version__)

import numpy
kg.visualization.save_comparison(sys.argv[1], {"a": numpy.zeros((1, 2, 2, 1), "uint8")})
assert "matplotlib.pyplot" not in set(sys.modules) - before
"""
    command = ("-W", "error::UserWarning", "-c", script, tmp_path / "a.png")
    assert run_python(*command).strip() == "0.1.0"


def test_other_backends_are_refused_by_name():
    """If the backend itself were missing, `import keras` would fail instead."""
    script = "try:\n import keras_genimg\nexcept ImportError as error: print(error)"
    output = run_python("-c", script, KERAS_BACKEND="jax")
    assert "variable KERAS_BACKEND=tensorflow" in output
    assert "Received: backend 'jax'" in output


def test_an_empty_backend_is_none(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "")
    importlib.reload(backend_check)


def test_packages_show_their_public_names_only():
    """All packages but those that have no public names."""
    folders = pathlib.Path(kg.__file__).parent.glob("*/__init__.py")
    public = {file.parent.name for file in folders if "__all__" in file.read_text()}
    assert public <= set(dir(kg))
    for name in public:
        package = getattr(kg, name)
        assert dir(package) == sorted(package.__all__), name


@pytest.mark.parametrize("model", MODELS, ids=lambda kind: kind.__name__)
def test_signatures_are_written_out(model):
    """A subclass of the base class may have endpoints with options of its own."""
    own = set(dir(model)) - set(dir(keras.Model)) - {"endpoints", "from_preset"}
    for name in own:
        method = getattr(model, name)
        if not name.startswith("_") and callable(method):
            parameters = inspect.signature(method).parameters.values()
            assert inspect.Parameter.VAR_KEYWORD not in {p.kind for p in parameters}


@pytest.mark.parametrize("layer", LSTMS, ids=lambda kind: kind.__name__)
def test_lstm_layers_have_the_arguments_of_keras(layer):
    expected = """units use_bias unit_forget_bias kernel_initializer
        recurrent_initializer bias_initializer kernel_regularizer
        recurrent_regularizer bias_regularizer""".split()
    assert set(expected) <= set(inspect.signature(layer).parameters)
    assert set(expected) <= set(inspect.signature(keras.layers.LSTM).parameters)


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


@PACKAGES
def test_signatures_are_annotated(name):
    missing = []
    for function_name, function in public_functions(getattr(kg, name)):
        expected = {*inspect.signature(function).parameters, "return"} - {"self", "cls"}
        if function.__name__ == "__init__":
            expected.remove("return")
        for part in sorted(expected - set(typing.get_type_hints(function))):
            missing.append(f"{function_name}: {part}")
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
