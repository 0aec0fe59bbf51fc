import contextlib

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.fitting.distribution import check_strategy
from tests.fitting import normalizations
from tests.fitting.one_convolution import one_convolution
from tests.subprocesses import run_forked

IMAGES = np.zeros((4, 4, 4, 1))


def test_parameter_servers_are_refused(monkeypatch):
    kind = tf.distribute.experimental.ParameterServerStrategy
    strategy = object.__new__(kind)  # Making one needs a cluster.
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    with pytest.raises(ValueError, match="PixelCNN cannot .* parameter servers"):
        check_strategy("PixelCNN")


def test_gradients_are_not_accumulated_in_a_mirrored_strategy_of_one_replica():
    with tf.distribute.MirroredStrategy(["/cpu:0"]).scope():
        model = one_convolution((4, 4, 1))
        optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
        with pytest.raises(
            ValueError, match="`gradient_accumulation_steps` works without Mirrored"
        ):
            model.compile(optimizer)
        model.compile("sgd", jit_compile=True)


def test_gradients_are_accumulated_on_one_device():
    with tf.distribute.OneDeviceStrategy("/cpu:0").scope():
        model = one_convolution((4, 4, 1))
        model.compile(keras.optimizers.SGD(gradient_accumulation_steps=2))
    model.fit(IMAGES, batch_size=1, verbose=0)
    assert model.optimizer.iterations.numpy() == 2


def test_training_in_the_scope_of_another_strategy_is_refused():
    here = tf.distribute.OneDeviceStrategy("/cpu:0")
    other = tf.distribute.MirroredStrategy(["/cpu:0"])
    for strategy, made in ((None, "no scope"), (other, "the scope of Mirrored")):
        with strategy.scope() if strategy else contextlib.nullcontext():
            model = one_convolution((4, 4, 1))
            model.compile("sgd")
        with here.scope():
            for method in (model.fit, model.train_on_batch):
                text = f"made in {made}.* {method.__name__} was called in the scope of"
                with pytest.raises(ValueError, match=text):
                    method(IMAGES)


@pytest.mark.slow
def test_batch_normalization_on_two_replicas_is_a_warning(tmp_path):
    run_forked(normalizations.check_warnings, output=tmp_path / "printed")


@pytest.mark.slow
def test_synchronized_batch_normalization_trains_as_on_one_device(tmp_path):
    run_forked(normalizations.check_training, output=tmp_path / "printed")
