import functools

import pytest
import tensorflow as tf

from keras_genimg.models import PixelRNN
from keras_genimg.ops.graphs import shared_eager_traces, traced_once


def test_is_traced_once_a_graph_and_shape():
    traced = []

    @traced_once
    def double(x, name="a"):
        traced.append(name)
        return 2 * x

    @tf.function(autograph=False)
    def run(x, y):
        return double(x) + double(x + 1), double(y), double(y, "b"), double(y, "b")

    x, y = tf.constant([1.0, 2.0]), tf.constant([3.0])
    outputs = [output.numpy().tolist() for output in run(x, y)]
    assert outputs == [[6, 10], [6], [6], [6]]
    assert traced == ["a", "a", "b"]
    run.get_concrete_function(x[:1], y)
    assert len(traced) == 3 + 2


def test_eager_traces_serve_batches_of_all_sizes_and_are_freed():
    traced = []

    @functools.partial(traced_once, batched=1)
    def scaled(x, other, factor):
        traced.append(x.shape)
        return factor * x if other is None else factor * x + other

    one = tf.constant([1.0])
    with shared_eager_traces(16):
        for size in (1, 3):
            assert scaled(tf.ones(size), None, 2).numpy().tolist() == [2] * size
        with shared_eager_traces(16):
            assert scaled(tf.ones(2), one, 2).numpy().tolist() == [3] * 2
        assert scaled(tf.ones(2), one, 3).numpy().tolist() == [4] * 2
        assert scaled(tf.ones(5), None, 2).numpy().tolist() == [2] * 5
        assert len(traced) == 3
    with shared_eager_traces(16):
        scaled(one, None, 2)
    assert [len(traced), traced[-1]] == [4, tf.TensorShape([None])]
    for _ in range(2):  # Outside of such blocks, it runs eagerly.
        assert scaled(one, None, 2).numpy().tolist() == [2]
    assert traced[4:] == [(1,), (1,)]
    with shared_eager_traces(15):  # A short loop runs sooner than it is traced.
        scaled(tf.ones(2), None, 2)
    assert traced[-1] == (2,)


@pytest.mark.slow
@pytest.mark.parametrize("layer", ["row", "diagonal"])
def test_layers_of_a_network_share_their_loops(layer):
    def loops(num_layers):
        model = PixelRNN((6, 6, 1), 2, num_layers, layer)

        @tf.function(autograph=False)
        def step(images):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(model(images))
            return tape.gradient(loss, model.trainable_variables)

        function = step.get_concrete_function(tf.TensorSpec((None, 6, 6, 1)))
        graph = function.graph.as_graph_def()
        nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
        return sum("While" in node.op for node in nodes)

    assert 0 < loops(2) == loops(3)
