"""What each of several workers does beside training; run by `worker.py`."""

import random

import keras
import numpy as np
import pytest
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


def train_on_other_data(strategy):
    """Train on data of all kinds, with unlike random numbers on each worker.

    Returns the numbers of the images that this worker trained on in two epochs, and the
    results of training, both by kind of data.
    """
    tf.random.set_seed(None)
    random.seed(strategy.extended._id_in_cluster)
    kinds = {
        "arrays": {"x": IMAGES, "batch_size": BATCH_SIZE},
        "a split": {"x": IMAGES, "batch_size": BATCH_SIZE, "validation_split": 0.25},
        "a PyDataset": {"x": Batches(np.split(IMAGES, 5))},
        "in order": {"x": IMAGES, "batch_size": BATCH_SIZE, "shuffle": False},
    }
    read, trained = {}, {}
    for kind, options in kinds.items():
        model = make(strategy)
        trained[kind] = model.fit(epochs=2, verbose=0, **options).history
        half = len(model.read) // 2
        read[kind] = [sum(model.read[:half], []), sum(model.read[half:], [])]

    model = make(strategy)
    weights = model.get_weights()
    for dtype in ("uint8", "bool"):
        model.set_weights(weights)
        x = IMAGES.astype(dtype)
        model.fit(x, None, BATCH_SIZE, verbose=0, shuffle=False, validation_data=x)
        trained[dtype] = [model.evaluate(x, verbose=0), model.get_weights()]
    np.testing.assert_equal(trained["bool"], trained["uint8"])

    first = strategy.extended._id_in_cluster * 5  # Each worker has another batch.
    batch = IMAGES[first : first + 5]
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

    model = make(strategy)
    backup = [keras.callbacks.BackupAndRestore(folder / "backup")]
    text = "which does not work with several"
    refused(text, model.fit, IMAGES, verbose=0, callbacks=backup)
    # In the second worker's part of the first batch.
    images = IMAGES.copy()
    images[7] = 9
    batches = tf.data.Dataset.from_tensor_slices(images).batch(BATCH_SIZE)
    text = "another worker received" if is_chief(strategy) else "expects pixels"
    for method in (model.fit, model.evaluate):
        refused(text, method, batches, verbose=0)
    with strategy.scope():
        accumulating = keras.optimizers.SGD(gradient_accumulation_steps=2)
    refused("`gradient_accumulation_steps` works with", make, strategy, accumulating)
    model.fit(IMAGES, verbose=0, callbacks=[Resume(folder / "states")])
    resume = [Resume(folder / ("states" if is_chief(strategy) else "empty"))]
    text = "Workers found different states"
    refused(text, model.fit, IMAGES, verbose=0, callbacks=resume)
    keras.utils.set_random_seed(strategy.extended._id_in_cluster)
    refused("Workers must have the same global seed", model.fit, IMAGES, verbose=0)
