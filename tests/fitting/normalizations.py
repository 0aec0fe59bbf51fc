"""BatchNormalization on two CPU devices; run by tests in a process for each."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from tests.untuned import leave_datasets_untuned

# The last of two batches of 8 has 5 images: 3 on the first replica, 2 on the second.
IMAGES = (np.random.RandomState(0).rand(13, 4, 4, 1) < 0.7).astype("uint8")


def two_devices():
    """Return a strategy of two replicas."""
    leave_datasets_untuned()
    cpu = tf.config.list_physical_devices("CPU")[0]
    configuration = [tf.config.LogicalDeviceConfiguration()] * 2
    tf.config.set_logical_device_configuration(cpu, configuration)
    return tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])


def normalized(*blocks):
    """Return a model with layers between its convolutions."""
    images = keras.Input((4, 4, 1))
    x = MaskedConv2D(3, 3, mask_type="A")(images)
    for block in blocks:
        x = block(x)
    return AutoregressiveModel(images, MaskedConv2D(1, 1, mask_type="B")(x))


def check_warnings():
    """Check that `compile` names the layers that each replica normalizes alone."""
    normalization = keras.layers.BatchNormalization
    with two_devices().scope():
        model = normalized(
            normalization(name="first"),
            keras.Sequential([normalization(name="inner")]),
            normalization(name="frozen", trainable=False),
            normalization(name="whole", synchronized=True),
            lambda x: normalization(name="inference")(x, training=False),
        )
        text = "'first', 'inner' of .*2 replicas.*`synchronized=True`"
        with pytest.warns(UserWarning, match=text) as caught:
            model.compile("sgd")
        (warning,) = caught
        assert warning.filename == __file__
        for name in ("first", "inner"):
            next(x for x in model._flatten_layers() if x.name == name).trainable = False
        with warnings.catch_warnings(action="error"):
            model.compile("sgd")


def check_training():
    """Check that only synchronized statistics train as on one device."""
    two = two_devices()
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    for synchronized in (False, True):
        trained = []
        for strategy in (one, two):
            keras.utils.set_random_seed(1)
            with warnings.catch_warnings(action="ignore"), strategy.scope():
                layer = keras.layers.BatchNormalization(synchronized=synchronized)
                model = normalized(layer)
                model.check_causality = False
                model.compile(keras.optimizers.SGD(0.1))
                model.fit(IMAGES, batch_size=8, shuffle=False, verbose=0)
            trained.append(model.get_weights())
        pairs = zip(*trained, strict=True)
        difference = max(np.abs(a - b).max() for a, b in pairs)
        as_on_one = difference < 1e-5
        assert as_on_one == synchronized, f"{synchronized=}, {difference=}"
