"""Load `.keras` files in a process that has imported the library alone."""

import pickle

import keras
import numpy as np
import tensorflow as tf

import keras_genimg.layers  # noqa: F401  Registers classes for `load_model`.
from keras_genimg.models import LatentModel


def computed(model, x):
    """Return a model's weights, all that it computes without noise, and its state."""
    found = model.get_weights()
    if isinstance(model, LatentModel):
        found.append(model.elbo(x, seed=0))
    elif not any(hasattr(layer, "seed_generator") for layer in model.layers):
        found.append(np.asarray(model(x), "float32"))
        found.append(model.evaluate(x, verbose=0) if model.compiled else 0)
    if model.compiled:
        found += [variable.numpy() for variable in model.optimizer.variables]
    return found


def main(folder):
    """Load all files, and compare what the models compute with what they did."""
    tf.config.run_functions_eagerly(True)
    for path in folder.glob("*.keras"):
        model = keras.models.load_model(path)
        x, expected = pickle.loads(path.with_suffix(".pickle").read_bytes())
        np.testing.assert_equal(computed(model, x), expected, err_msg=path.stem)
