"""Steps of training and evaluation on data of any type and length."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.datasets.epochs import make_epochs
from keras_genimg.fitting.data import without_pauses
from keras_genimg.models import VAE, AutoregressiveModel
from tests.fitting.one_convolution import one_convolution
from tests.fitting.pixels import IMAGES, SHAPE, batches, pixels
from tests.seldom import slow_but


def vae(shape):
    return VAE(shape, 2, 4)


# Keras warns when it finds that a data set ends, even one of unknown length.
@pytest.mark.filterwarnings("ignore:Your input ran out of data")
@pytest.mark.parametrize("make", slow_but([one_convolution, vae], one_convolution))
def test_no_step_is_taken_where_a_data_set_of_unknown_length_ends(make):
    """Weights, moments, step count and the seeds of noise end as with a known one."""
    ended = []
    for data in (batches(IMAGES), batches(IMAGES, known=False)):
        keras.utils.set_random_seed(0)
        model = pixels(make)
        model.fit(data, epochs=2, verbose=0)
        logs = model.evaluate(data, verbose=0)
        variables = [*model.variables, *model.optimizer.variables]
        ended.append([*(np.asarray(v.numpy()) for v in variables), np.array(logs)])
        assert model.optimizer.iterations.numpy() == 6
    np.testing.assert_equal(*ended)


def test_epochs_of_a_data_set_are_whole_and_new(monkeypatch):
    """They are read by one iterator."""
    monkeypatch.setattr("keras_genimg.datasets.epochs.BLOCK_BYTES", 1)
    begun = []

    def note(key, index):
        begun.append((key.numpy().tobytes(), int(index)))

    def finish(images, key, index):
        tf.py_function(note, (key, index), [])
        return images

    images = tf.zeros((10, *SHAPE), tf.uint8)
    epochs = make_epochs(
        None, 10, 4, in_memory=images, finish=finish, shuffle_within=10
    )
    data = epochs.new_each_pass()
    model = pixels(run_eagerly=True)
    history = model.fit(data, epochs=3, verbose=0)
    assert len(history.history["loss"]) == 3
    assert int(model.optimizer.iterations) == 9
    # More may have been read than was used.
    order = list(dict.fromkeys(key for key, _ in begun))[:3]
    for key in order:
        assert sorted(i for k, i in begun if k == key) == [0, 1, 2]
    assert len(order) == 3
    begun.clear()
    model.fit(data, verbose=0)
    assert begun[0][0] != order[0]
    model.fit(data, steps_per_epoch=2, verbose=0)
    model.fit(data.take(1), verbose=0)
    assert int(model.optimizer.iterations) == 9 + 3 + 2 + 1
    assert without_pauses(data, {}, num_replicas=2) == (data, {})


def test_booleans_train_as_integers_do():
    ended = []
    for dtype in ("uint8", "bool"):
        keras.utils.set_random_seed(0)
        model = pixels(run_eagerly=True)
        x = IMAGES.astype(dtype)
        history = model.fit(x, verbose=0, shuffle=False, validation_data=x).history
        logs = model.evaluate(x, verbose=0)
        ended.append([*model.get_weights(), *map(np.array, history.values()), logs])
    np.testing.assert_equal(*ended)


def own_step(result):
    class Own(AutoregressiveModel):
        def train_step(self, data):
            (x,) = data if isinstance(data, tuple) else (data,)
            with tf.GradientTape() as tape:
                loss = self.compute_loss(x, None, self(x, training=True))
            gradients = tape.gradient(loss, self.trainable_variables)
            self.optimizer.apply(gradients, self.trainable_variables)
            return result(loss)

    model = one_convolution(SHAPE, Own)
    model.compile("sgd")
    return model


def test_a_step_of_ones_own_may_return_the_loss_alone():
    """Keras reads all metrics after an epoch, those that have not been used too."""
    model = own_step(lambda loss: {"loss": loss})
    assert set(model.fit(IMAGES, verbose=0).history) == {"loss"}
    history = model.fit(IMAGES, validation_data=IMAGES, verbose=0).history
    assert {"loss", "val_loss", "val_bits_per_dim"} <= set(history)
    model = own_step(lambda loss: loss)
    with pytest.raises(ValueError, match='returns a dict by name.*{"loss": loss}'):
        model.fit(IMAGES, verbose=0)


@pytest.mark.parametrize("method", ["compute_loss", "compute_metrics"])
def test_steps_call_what_keras_calls(method):
    """Keras itself reads from the signature whether it can pass `training`."""
    ours, its = (
        inspect.signature(getattr(owner, method)).parameters
        for owner in (AutoregressiveModel, keras.Model)
    )
    assert [*ours] == [*its]
    assert all(ours[name].default == its[name].default for name in its)


def test_clone_model_is_refused():
    """Keras would return a plain model without `generate`."""
    model = pixels()
    with pytest.raises(ValueError, match=r"AutoregressiveModel.from_config\(model.get"):
        keras.models.clone_model(model)
    plain = keras.models.clone_model(keras.Model(model.inputs, model.outputs))
    assert plain.count_params() == model.count_params()
    outer = keras.Model(model.inputs, model(model.inputs[0]))
    inner = keras.models.clone_model(outer).layers[-1]
    assert type(inner) is AutoregressiveModel
