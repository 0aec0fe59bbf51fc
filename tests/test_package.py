from tests.subprocesses import run_python


def test_imports_stay_light():
    """Layers and models bring in neither data sets nor plots nor serving protos."""
    script = """
import sys
import keras  # Which imports matplotlib and scikit-learn where it finds them.
before = set(sys.modules)
import keras_genimg.layers
assert "tensorflow_probability" not in sys.modules
import keras_genimg.models, keras_genimg.datasets, keras_genimg.visualization
heavy = {"tensorflow_datasets", "matplotlib", "PIL", "sklearn", "tensorflow_serving"}
brought = heavy & (set(sys.modules) - before)
assert not brought, brought
print(keras_genimg.__version__)
"""
    assert run_python("-W", "error::UserWarning", "-c", script).strip() == "0.1.0"
