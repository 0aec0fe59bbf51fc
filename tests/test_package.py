import importlib

import pytest

from keras_genimg import backend_check
from tests.subprocesses import run_python


@pytest.mark.slow
def test_imports_stay_light():
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
"""
    assert run_python("-W", "error::UserWarning", "-c", script).strip() == "0.1.0"


def test_other_backends_are_refused_by_name():
    """Where the backend itself is missing, `import keras` would be what fails."""
    script = "try:\n import keras_genimg\nexcept ImportError as error: print(error)"
    output = run_python("-c", script, KERAS_BACKEND="jax")
    assert "variable KERAS_BACKEND=tensorflow" in output
    assert "Received: backend 'jax'" in output


def test_an_empty_backend_is_none(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "")
    importlib.reload(backend_check)
