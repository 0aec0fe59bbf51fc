"""The defects that `fitting.workarounds` works around are still there.

A test that fails here says that a workaround may be deleted.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.fitting.alive import collect, graphs
from tests.subprocesses import run_python

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def test_add_takes_a_condition_for_a_bias():
    x = np.zeros((3, 4, 5, 3), "float32")
    condition = np.arange(3, dtype="float32").reshape(3, 1, 1, 1)
    assert np.any(keras.ops.add(x, condition).numpy() != x + condition)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_dropped_model_leaves_the_graph_of_its_steps():
    def left():
        before = graphs()
        model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        model.fit(np.zeros((4, 3)), np.zeros((4, 1)), verbose=0)
        del model
        keras.backend.clear_session()
        collect()
        return len(graphs() - before)

    left()
    assert left() > 0


CLIPPED = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, halves)
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((1,)), dense])
    model.compile(keras.optimizers.SGD(1.0, global_clipnorm=1.0), "mse")
model.fit(np.ones((2, 1)), np.full((2, 1), 100.0), batch_size=2, verbose=0)
print(float(dense.kernel.numpy()[0, 0]))
"""


def test_each_replica_clips_its_own_gradient():
    assert float(run_python("-c", CLIPPED).split()[-1]) == pytest.approx(2.0, abs=0.01)


def test_a_scalar_cannot_be_averaged_over_the_first_axis():
    """Keras tries this with the logs of workers (keras-team/keras#20585)."""
    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with pytest.raises(ValueError, match="reduction dimension"):
        strategy.reduce("MEAN", tf.constant(1.0), axis=0)
