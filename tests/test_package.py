import pytest

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
