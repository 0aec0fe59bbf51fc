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


@pytest.fixture(scope="module", params=slow_but(MAPS, *MAPS[::4]))
def traced(request):
    """Operations of the gradient of a layer, and the size of its output."""
    case = LAYERS[request.param]
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

    graph = gradients.get_concrete_function(*inputs).graph
    return graph.get_operations(), math.prod(outputs[0].shape)


def test_no_convolution_pads_by_itself(traced):
    operations, _ = traced
    convolutions = [op for op in operations if op.type.startswith("Conv2D")]
    assert [
        op.name for op in convolutions if op.get_attr("padding") == b"EXPLICIT"
    ] == []


def test_no_gradient_of_an_index_fills_a_whole_map(traced):
    operations, map_size = traced
    found = [op for op in operations if op.type == "StridedSliceGrad"]
    sizes = {op.name: op.outputs[0].shape.num_elements() for op in found}
    assert None not in sizes.values()
    assert {name: size for name, size in sizes.items() if size >= map_size} == {}
