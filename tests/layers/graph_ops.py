"""The operations of a Diagonal BiLSTM's graph."""

import tensorflow as tf

from keras_genimg.layers import DiagonalBiLSTM


def ops_of(num_segments):
    """Return the ops of the layer's graph and its functions, sorted."""
    layer = DiagonalBiLSTM(3, num_segments=num_segments)
    call = tf.function(layer, autograph=False)
    graph = call.get_concrete_function(tf.TensorSpec((2, 6, 4, 3))).graph.as_graph_def()
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    return sorted(node.op for node in nodes)
