"""A small compiled model, its images, and data sets of them."""

import keras
import numpy as np
import tensorflow as tf

from tests.fitting.one_convolution import one_convolution

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(6, *SHAPE)).astype("uint8")


def pixels(make=one_convolution, **options):
    model = make(SHAPE)
    model.compile(keras.optimizers.Adam(0.01), **options)
    return model


def batches(images, known=True):
    dataset = tf.data.Dataset.from_tensor_slices(images).batch(2)
    return dataset if known else dataset.filter(lambda batch: True)
