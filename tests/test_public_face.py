"""The public interface: names and signatures."""

import inspect
import pathlib

import keras
import pytest

import keras_genimg as kg

MODELS = [getattr(kg.models, name) for name in kg.models.__all__]
LSTMS = [kg.layers.RowLSTM, kg.layers.DiagonalBiLSTM]


def test_packages_show():
    """All packages but those that have no public names."""
    folders = pathlib.Path(kg.__file__).parent.glob("*/__init__.py")
    public = {file.parent.name for file in folders if "__all__" in file.read_text()}
    assert public <= set(dir(kg))


@pytest.mark.parametrize("package", sorted(set(kg.__all__) - {"__version__"}))
def test_a_package_shows_its_public_names_only(package):
    package = getattr(kg, package)
    assert dir(package) == sorted(package.__all__)


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
