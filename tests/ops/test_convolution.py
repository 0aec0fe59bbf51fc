import tensorflow as tf

from keras_genimg.layers import MaskedConv2D


def test_a_wider_kernel_takes_no_more_operations():
    counts = []
    for size in (3, 15):
        layer = MaskedConv2D(2, size, "A")
        layer.build((None, 6, 6, 1))

        @tf.function
        def begin(layer=layer):
            weights = layer.prepare(fused=False)
            cache = layer.initial_cache(weights, 2, 6, 1)
            return layer.begin_row(weights, cache)

        counts.append(len(begin.get_concrete_function().graph.get_operations()))
    assert counts[0] == counts[1]
