"""The device of the tests that need a GPU.

    pytest tests/gpu
    GPU_TESTS_ON=CPU pytest tests/gpu

Without a GPU, the first command skips them by name. The second one rehearses them on
the CPU, to see that they run.
"""

import os

import pytest
import tensorflow as tf

from keras_genimg.ops.devices import full_float32
from tests.gpu.placement import on


@pytest.fixture
def device():
    """Return the kind of the device to test, and compute there in full float32."""
    kind = os.environ.get("GPU_TESTS_ON", "GPU")
    if not tf.config.list_physical_devices(kind):
        pytest.skip(f"no GPU: TensorFlow sees no device of kind {kind}")
    with full_float32(), on(kind):
        yield kind
