import pytest
import tensorflow as tf

from keras_genimg.models.distribution import check_strategy
from keras_genimg.ops.workers import is_chief, is_multi_worker


def test_parameter_servers_are_refused(monkeypatch):
    kind = tf.distribute.experimental.ParameterServerStrategy
    strategy = object.__new__(kind)  # Making one needs a cluster.
    monkeypatch.setattr(tf.distribute, "get_strategy", lambda: strategy)
    with pytest.raises(ValueError, match="PixelCNN cannot .* parameter servers"):
        check_strategy("PixelCNN")


def test_one_process_is_the_chief():
    for strategy in (
        tf.distribute.get_strategy(),
        tf.distribute.OneDeviceStrategy("/cpu:0"),
        tf.distribute.MirroredStrategy(["/cpu:0"]),
    ):
        assert is_chief(strategy) and not is_multi_worker(strategy)
