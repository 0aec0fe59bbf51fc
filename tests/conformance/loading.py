"""Load `.keras` files in a process that has imported the library alone."""

import keras
import numpy as np
import tensorflow as tf

import keras_genimg.layers  # noqa: F401  Registers classes for `load_model`.
from keras_genimg import models


def main(folder):
    """Load all files, and compare what the models compute with what they did."""
    tf.config.run_functions_eagerly(True)
    for path in sorted(folder.glob("*.keras")):
        model = keras.models.load_model(path)
        data = dict(np.load(path.with_suffix(".npz")))
        outputs = data.pop("outputs")
        evaluation = data.pop("evaluation", None)
        x = data if len(data) > 1 else next(iter(data.values()))
        if isinstance(model, models.LatentModel):
            again, evaluation = model.elbo(x, seed=0), None
            assert model.optimizer.iterations == 1
        elif outputs.ndim == 1:
            again = np.concatenate([w.ravel() for w in model.get_weights()])
        else:
            again = np.asarray(model(x if evaluation is not None else data), "float32")
        np.testing.assert_array_equal(again, outputs)
        if evaluation is not None:
            assert model.optimizer.iterations == 1
            np.testing.assert_array_equal(model.evaluate(x, verbose=0), evaluation)
        print("loaded", path.stem)
