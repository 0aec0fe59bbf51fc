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


class Scaled:
    """A function that remembers the shapes that it was traced or run with."""

    def __init__(self):
        self.shapes = []
        self.scaled = functools.partial(traced_once, batched=1)(self._scaled)

    def _scaled(self, x, other, factor):
        self.shapes.append(x.shape)
        return factor * x if other is None else factor * x + other

    def __call__(self, size, other=None, factor=2):
        """Return the result for ones, as a list."""
        return self.scaled(tf.ones(size), other, factor).numpy().tolist()


def test_an_eager_trace_serves_batches_of_all_sizes():
    scaled = Scaled()
    with shared_eager_traces(16):
        assert [scaled(size) for size in (1, 3, 5)] == [[2] * 1, [2] * 3, [2] * 5]
    assert scaled.shapes == [tf.TensorShape([None])]


def test_other_arguments_get_another_eager_trace():
    scaled, one = Scaled(), tf.constant([1.0])
    with shared_eager_traces(16):
        assert scaled(2) == [2, 2]
        assert scaled(2, one) == [3, 3]
        assert scaled(2, one, 3) == [4, 4]
    assert len(scaled.shapes) == 3


def test_an_inner_block_uses_the_eager_traces_of_the_outer_one():
    scaled = Scaled()
    with shared_eager_traces(16):
        with shared_eager_traces(16):
            scaled(2)
        scaled(3)
    assert len(scaled.shapes) == 1


def test_eager_traces_are_freed_at_the_end_of_a_block():
    scaled = Scaled()
    for _ in range(2):
        with shared_eager_traces(16):
            scaled(1)
    assert len(scaled.shapes) == 2


def test_nothing_is_traced_outside_of_a_block():
    scaled = Scaled()
    assert [scaled(1), scaled(1)] == [[2], [2]]
    assert scaled.shapes == [(1,), (1,)]


def test_a_short_loop_runs_sooner_than_it_is_traced():
    scaled = Scaled()
    with shared_eager_traces(15):
        scaled(2)
    assert scaled.shapes == [(2,)]


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
