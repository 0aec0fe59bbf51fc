"""Operations that TensorFlow computes slowly on CPUs, in the gradients of layers.

The gradients of a convolution with explicit padding do without oneDNN. The gradient of
an index such as `x[:, 1:]` fills a tensor like `x` with zeros before it writes to it;
that of `tf.slice` writes once.
"""

import math

import pytest
import tensorflow as tf

from tests.conformance.registry import LAYERS
from tests.seldom import slow_but

BATCH = 64
MAPS = [
    name for name, case in LAYERS.items() if len(next(iter(case.inputs.values()))) == 3
]
# The block has a Diagonal BiLSTM.
FAST = """MaskedConv2D GatedHorizontalConv_condition ResidualLSTMBlock_condition
    DRAWLoop""".split()


@pytest.mark.parametrize("name", slow_but(MAPS, *FAST))
def test_no_slow_operation(name):
    case = LAYERS[name]
    layer = case.make()
    inputs = [tf.constant(value) for value in case.example(BATCH).values()]
    outputs = tf.nest.flatten(layer(*inputs))

    @tf.function
    def gradients(*inputs):
        with tf.GradientTape() as tape:
            tape.watch(inputs)
            outputs = tf.nest.flatten(layer(*inputs))
            total = tf.add_n([tf.reduce_sum(tf.square(output)) for output in outputs])
        return tape.gradient(total, [*inputs, *layer.trainable_variables])

    operations = gradients.get_concrete_function(*inputs).graph.get_operations()
    for operation in operations:
        if operation.type.startswith("Conv2D"):
            assert operation.get_attr("padding") != b"EXPLICIT", operation.name
        if operation.type == "StridedSliceGrad":
            size = operation.outputs[0].shape.num_elements()
            assert size < math.prod(outputs[0].shape), operation.name
