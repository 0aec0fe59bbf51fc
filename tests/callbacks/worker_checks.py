"""What each of several workers does beside training; run by `worker.py`.

Each function returns JSON values, which the tests compare between workers.
"""

import pathlib
import random
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.callbacks import Reconstructions, Resume, SampleGrid
from keras_genimg.models import AutoregressiveModel
from keras_genimg.ops.workers import is_chief
from keras_genimg.serving import publish
from tests.fitting.one_convolution import one_convolution
from tests.inputs.test_sizes import Batches

# Each image tells its number, below 20, in its last bits.
NUMBERS = np.arange(20)
IMAGES = (NUMBERS[:, None] >> np.arange(16) & 1).reshape(20, 4, 4, 1).astype("uint8")
BATCH_SIZE = 10


def folder_of(result):
    """Return the folder of this worker's files; another worker has another one."""
    return pathlib.Path(f"{result}_files")


def pictures(name, result):
    """Return callbacks that write."""
    folder = folder_of(result)
    found: list[Any] = [SampleGrid(folder / name / "samples", 4)]
    if name == "VAE":
        images = np.zeros((2, 8, 8, 1), "uint8")
        found.append(
            Reconstructions(
                folder / name / "reconstructions", images, log_dir=folder / "logs"
            )
        )
    return found


def draw(model):
    images = np.arange(4 * 64).reshape(4, 8, 8, 1) % 3 % 2
    options = {"seed": 0, "num_samples": 3} if hasattr(model, "elbo") else {}
    return {
        "images": model.generate(3, seed=5, verbose=0).tolist(),
        "log_prob": model.log_prob(images, verbose=0, **options).tolist(),
    }


def write(model, result):
    """Write files as every worker does that runs the same script.

    Returns:
        What the methods return, paths relative to the folder.
    """
    folder = folder_of(result)
    returned = {
        "save": model.save(folder / "model.keras"),
        "save_weights": model.save_weights(folder / "model.weights.h5"),
        "export": model.export(folder / "exported", max_examples=4, verbose=False),
    }
    options = {"batch_sizes": (), "verify": False, "verbose": False}
    for name, version in (("chosen", 7), ("next", None)):
        path = publish(model, folder / "served", name, version, **options)
        returned[f"publish {name}"] = str(path.relative_to(folder))
    if is_chief(model.distribute_strategy):  # As many scripts do.
        model.save(folder / "alone.keras")
    return returned


class Recording(AutoregressiveModel):
    """Model that records the numbers of the images of each step."""

    def train_step(self, data):
        images = np.reshape(tf.nest.flatten(data)[0], (-1, 16)).astype(int)
        self.read.append((images << np.arange(16)).sum(axis=1).tolist())
        return super().train_step(data)


def make(strategy, optimizer="sgd"):
    with strategy.scope():
        model = one_convolution((4, 4, 1), Recording)
        model.read = []
        model.compile(optimizer, run_eagerly=True)
    return model


def read_in_two_epochs(strategy, x, **options):
    """Return the numbers of the images that this worker trained on, by epoch."""
    model = make(strategy)
    history = model.fit(x, epochs=2, verbose=0, **options)
    half = len(model.read) // 2
    found = [sum(steps, []) for steps in (model.read[:half], model.read[half:])]
    return {"read": found, "history": history.history}


def train_on_other_data(strategy):
    """Train on data of all kinds, with unlike random numbers on each worker."""
    tf.random.set_seed(None)
    random.seed(strategy.extended._id_in_cluster)
    options = {"batch_size": BATCH_SIZE}
    found: dict[str, Any] = {
        "arrays": read_in_two_epochs(strategy, IMAGES, **options),
        "a split": read_in_two_epochs(
            strategy, IMAGES, validation_split=0.25, **options
        ),
        "a PyDataset": read_in_two_epochs(strategy, Batches(np.split(IMAGES, 5))),
        "in order": read_in_two_epochs(strategy, IMAGES, shuffle=False, **options),
    }

    model = make(strategy)
    weights = model.get_weights()
    ended = {}
    for dtype in ("uint8", "bool"):
        model.set_weights(weights)
        images = IMAGES.astype(dtype)
        model.fit(images, verbose=0, shuffle=False, validation_data=images, **options)
        found[f"evaluate {dtype}"] = model.evaluate(images, verbose=0)
        ended[dtype] = model.get_weights()[0].tolist()
    found["weights"] = ended

    first = strategy.extended._id_in_cluster * 5  # Each worker has another batch.
    batch = IMAGES[first : first + 5]
    for method in (model.test_on_batch, model.train_on_batch, model.test_on_batch):
        found.setdefault("on_batch", []).append(np.ravel(method(batch)).tolist())
    return found


def train_on_unknown_length(model):
    """Return how many steps an epoch of three batches is."""
    images = np.zeros((3, 4, 8, 8, 1), "uint8")
    batches = tf.data.Dataset.from_tensor_slices(images).filter(lambda batch: True)
    before = int(model.optimizer.iterations.numpy())
    model.fit(batches, verbose=0)
    return int(model.optimizer.iterations.numpy()) - before


def refusals(strategy, folder):
    """Return the errors of what workers cannot do, by name."""
    model = make(strategy)
    backup = keras.callbacks.BackupAndRestore(folder / "backup")
    found = {"backup": _error(model.fit, IMAGES, verbose=0, callbacks=[backup])}
    # In the second worker's part of the first batch.
    images = IMAGES.copy()
    images[7] = 9
    batches = tf.data.Dataset.from_tensor_slices(images).batch(BATCH_SIZE)
    found["pixels"] = [
        _error(method, batches, verbose=0) for method in (model.fit, model.evaluate)
    ]
    with strategy.scope():
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
    found["accumulation"] = _error(make, strategy, accumulating)
    model.fit(IMAGES, verbose=0, callbacks=[Resume(folder / "states")])
    resume = Resume(folder / ("states" if is_chief(strategy) else "empty"))
    found["states"] = _error(model.fit, IMAGES, verbose=0, callbacks=[resume])
    keras.utils.set_random_seed(strategy.extended._id_in_cluster)
    found["seeds"] = _error(model.fit, IMAGES, verbose=0)
    return found


def _error(call, *args, **kwargs):
    try:
        call(*args, **kwargs)
    except ValueError as error:
        return str(error)
    return None
