"""One worker of a distributed training run; started by `test_workers.py`."""

import os
import pathlib
import pickle
import random
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.callbacks import Reconstructions, Resume, SampleGrid
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.ops.workers import is_chief
from keras_genimg.serving import publish
from tests.fitting.one_convolution import one_convolution
from tests.inputs.sources import Batches
from tests.untuned import leave_datasets_untuned

SHAPE = (8, 8, 1)
BATCH_SIZE = 110  # Not a divisor of the 300 digits: the last batch is uneven.
# Each image tells its number, below 20, in its last bits.
NUMBERS = np.arange(20)
NUMBERED = (NUMBERS[:, None] >> np.arange(16) & 1).reshape(20, 4, 4, 1).astype("uint8")
SMALL = {"head_filters": 2, "first_kernel_size": 3}
FAMILIES = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 2, 1, **SMALL),
    "PixelRNN_row": lambda: PixelRNN(SHAPE, 2, 1, layer="row", **SMALL),
    "PixelRNN_diagonal": lambda: PixelRNN(SHAPE, 2, 1, layer="diagonal", **SMALL),
    "VAE": lambda: VAE(SHAPE, 2, 4, num_samples=2),
    "DRAW": lambda: DRAW(SHAPE, 2, 4, 2, read_size=3, write_size=3),
}


def make(name, strategy):
    """Return a new compiled model, the same in each process."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = FAMILIES[name]()
        model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    return model


class Kill(keras.callbacks.Callback):
    """Kill this process after a number of steps; 0 for never."""

    def __init__(self, steps):
        super().__init__()
        self.steps = steps

    def _iterations(self):
        return int(self.model.optimizer.iterations.numpy())

    def on_train_begin(self, logs=None):
        self._last = self._iterations() + self.steps

    def on_train_batch_end(self, batch, logs=None):
        # Batches that were trained before are skipped, but reported here.
        if self.steps and self._iterations() >= self._last:
            os.kill(os.getpid(), signal.SIGKILL)


def pictures(folder):
    """Return callbacks that write pictures of a VAE."""
    images = np.zeros((2, 8, 8, 1), "uint8")
    return [
        SampleGrid(folder / "samples", 4),
        Reconstructions(folder / "reconstructions", images, log_dir=folder / "logs"),
    ]


def draw(model):
    images = np.arange(4 * 64).reshape(4, 8, 8, 1) % 3 % 2
    options = {"seed": 0, "num_samples": 3} if hasattr(model, "elbo") else {}
    return {
        "images": model.generate(3, seed=5, verbose=0),
        "log_prob": model.log_prob(images, verbose=0, **options),
    }


def write(model, folder):
    """Write files as every worker does; return what the methods return."""
    returned = {
        "save": model.save(folder / "model.keras"),
        "save_weights": model.save_weights(folder / "model.weights.h5"),
        "export": model.export(folder / "exported", max_examples=4, verbose=False),
    }
    options = {"batch_sizes": (), "verify": False, "verbose": False}
    for name, version in (("chosen", 7), ("next", None)):
        path = publish(model, folder / "served", name, version, **options)
        returned[f"publish {name}"] = str(path.relative_to(folder))
    if is_chief(model.distribute_strategy):  # Many scripts do this.
        model.save(folder / "alone.keras")
    return returned


class Recording(AutoregressiveModel):
    """Model that records the numbers of the images of each step."""

    def train_step(self, data):
        images = np.reshape(tf.nest.flatten(data)[0], (-1, 16)).astype(int)
        self.read.append((images << np.arange(16)).sum(axis=1).tolist())
        return super().train_step(data)


def make_recording(strategy, optimizer="sgd"):
    with strategy.scope():
        model = one_convolution((4, 4, 1), Recording)
        model.read = []
        model.compile(optimizer, run_eagerly=True)
    return model


def train_on_other_data(strategy):
    """Train on data of all kinds, with unlike random numbers on each worker.

    Returns the numbers of the images that this worker trained on in two epochs, and the
    results of training, both by kind of data.
    """
    tf.random.set_seed(None)
    random.seed(strategy.extended._id_in_cluster)
    kinds = {
        "arrays": {"x": NUMBERED, "batch_size": 10},
        "a split": {"x": NUMBERED, "batch_size": 10, "validation_split": 0.25},
        "a PyDataset": {"x": Batches(np.split(NUMBERED, 5))},
        "in order": {"x": NUMBERED, "batch_size": 10, "shuffle": False},
    }
    read, trained = {}, {}
    for kind, options in kinds.items():
        model = make_recording(strategy)
        trained[kind] = model.fit(epochs=2, verbose=0, **options).history
        half = len(model.read) // 2
        read[kind] = [sum(model.read[:half], []), sum(model.read[half:], [])]

    model = make_recording(strategy)
    weights = model.get_weights()
    for dtype in ("uint8", "bool"):
        model.set_weights(weights)
        x = NUMBERED.astype(dtype)
        model.fit(x, None, 10, verbose=0, shuffle=False, validation_data=x)
        trained[dtype] = [model.evaluate(x, verbose=0), model.get_weights()]
    np.testing.assert_equal(trained["bool"], trained["uint8"])

    first = strategy.extended._id_in_cluster * 5  # Each worker has another batch.
    batch = NUMBERED[first : first + 5]
    trained["on_batch"] = [
        np.ravel(method(batch))
        for method in (model.test_on_batch, model.train_on_batch, model.test_on_batch)
    ]
    return read, trained


def check_unknown_length(model):
    """Check that an epoch of three batches has three steps."""
    images = np.zeros((3, 4, 8, 8, 1), "uint8")
    batches = tf.data.Dataset.from_tensor_slices(images).filter(lambda batch: True)
    before = int(model.optimizer.iterations.numpy())
    model.fit(batches, verbose=0)
    assert int(model.optimizer.iterations.numpy()) - before == 3


def check_refusals(strategy, folder):
    """Check that all workers refuse what they cannot do."""

    def refused(text, call, *args, **options):
        with pytest.raises(ValueError, match=text):
            call(*args, **options)

    model = make_recording(strategy)
    backup = [keras.callbacks.BackupAndRestore(folder / "backup")]
    text = "which does not work with several"
    refused(text, model.fit, NUMBERED, verbose=0, callbacks=backup)
    # In the second worker's part of the first batch.
    images = NUMBERED.copy()
    images[7] = 9
    batches = tf.data.Dataset.from_tensor_slices(images).batch(10)
    text = "another worker received" if is_chief(strategy) else "expects pixels"
    for method in (model.fit, model.evaluate):
        refused(text, method, batches, verbose=0)
    with strategy.scope():
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
    text = "`gradient_accumulation_steps` works with"
    refused(text, make_recording, strategy, accumulating)
    model.fit(NUMBERED, verbose=0, callbacks=[Resume(folder / "states")])
    resume = [Resume(folder / ("states" if is_chief(strategy) else "empty"))]
    text = "Workers found different states"
    refused(text, model.fit, NUMBERED, verbose=0, callbacks=resume)
    keras.utils.set_random_seed(strategy.extended._id_in_cluster)
    refused("Workers must have the same global seed", model.fit, NUMBERED, verbose=0)


def main(directory, result, kill_after, models=("VAE",), epochs=2, checks=False):
    """Train models, and write what was found, a dict, to the path `result`.

    Without TF_CONFIG it trains alone, on the same global batches. `directory` is for
    the states. They are saved at each step, or with four epochs at each second one.
    After `kill_after` batches of a model, the process kills itself; 0 is for never.
    With `checks`, it draws, writes files and tries refusals, too.
    """
    leave_datasets_untuned()
    directory, files = pathlib.Path(directory), pathlib.Path(f"{result}_files")
    if "TF_CONFIG" in os.environ:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    found = {}
    for name in models:
        model = make(name, strategy)
        train = datasets.load(
            "digits", "test", BATCH_SIZE, shuffle=True, binarize="dynamic", seed=1
        )
        history = model.fit(
            train,
            epochs=epochs,
            verbose=0,
            validation_data=datasets.load("digits", "test", 150, binarize="fixed"),
            callbacks=[
                Kill(kill_after),
                *(pictures(files) if checks and name == "VAE" else ()),
                Resume(directory / name, save_every=epochs // 2),
            ],
        )
        one_image = model.evaluate(np.zeros((1, *SHAPE), "uint8"), verbose=0)
        found[name] = {**history.history, "one image": one_image}
        found[name]["weights"] = model.get_weights()
        if checks:
            found[f"{name} drew"] = draw(model)
    if checks:
        found["returned"] = write(model, files)
        check_unknown_length(model)
        found["read"], found["trained"] = train_on_other_data(strategy)
        check_refusals(strategy, directory)
    pathlib.Path(result).write_bytes(pickle.dumps(found))
