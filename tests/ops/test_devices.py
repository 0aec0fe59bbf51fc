import pytest
import tensorflow as tf

from keras_genimg.ops.devices import current_device, full_float32
from tests.subprocesses import run_forked


@pytest.mark.parametrize("enabled", [True, False])
def test_full_float32_sets_the_switch_back(enabled):
    config = tf.config.experimental
    before = config.tensor_float_32_execution_enabled()
    try:
        config.enable_tensor_float_32_execution(enabled)
        with pytest.raises(KeyError), full_float32():
            assert not config.tensor_float_32_execution_enabled()
            raise KeyError
        assert config.tensor_float_32_execution_enabled() == enabled
    finally:
        config.enable_tensor_float_32_execution(before)


@pytest.mark.slow
def test_innermost_of_two_devices(tmp_path):
    run_forked(main, output=tmp_path / "printed")


def main():
    """Ask in all places that a layer may be called in, with two CPU devices."""
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    seen = []

    def ask():
        seen.append(current_device()[-5:])

    def loop():
        tf.while_loop(lambda i: i < 2, lambda i: (ask(), i + 1)[1:], [tf.constant(0)])

    @tf.function(autograph=False)
    def scope_inside():
        with tf.device("/cpu:1"):
            loop()
        loop()

    ask(), scope_inside()
    with tf.device("/cpu:1"):
        ask(), tf.function(loop)(), tf.function(ask, jit_compile=True)()
    assert seen == ["CPU:0", "CPU:1", "CPU:0", "CPU:1", "CPU:1", "CPU:1"], seen

    seen.clear()
    strategy = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    tf.function(lambda: strategy.run(ask))()
    assert sorted(seen) == ["CPU:0", "CPU:1"], seen
