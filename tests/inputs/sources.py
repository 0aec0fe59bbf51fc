"""A small model, its images, and the sources that batches of them can come from."""

import keras
import numpy as np
import tensorflow as tf

from tests.fitting.one_convolution import one_convolution

IMAGES = np.random.default_rng(0).integers(0, 2, (8, 3, 4, 1)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], "int32")
MODES = {
    "plain": {},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "steps": {"steps_per_execution": 2},
    "steps with xla": {"steps_per_execution": 2, "jit_compile": True},
}


def small(mode="plain", shape=(3, 4, 1), **options):
    model = one_convolution(shape, **options)
    model.compile(keras.optimizers.SGD(0.01), **MODES[mode])
    return model


def with_labels():
    label = keras.Input((), dtype="int32", name="label")
    return small("eager", conditions=[label], condition_ranges={"label": (0, 2)})


def spoiled(value):
    images = IMAGES.copy()
    images[5, 2, 3] = value
    return images


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return (self.batches[index],)


def generator(batches):
    return ((batch,) for batch in batches)


def dataset(batches):
    """Return a data set that knows the ranks only."""
    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * np.ndim(array), array.dtype), batches[0]
    )
    data = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=signature
    )
    return data.apply(tf.data.experimental.assert_cardinality(len(batches)))


SOURCES = {"PyDataset": Batches, "generator": generator, "tf.data": dataset}
