"""The random numbers that draw images: one uniform number a sub-pixel."""

import tensorflow as tf

# Streams of noise that one row seed gives, so that no two uses share numbers.
PIXELS = 0
LATENTS = 1

MAX_SEED = 2**62 - 1

_LOW_31_BITS = 0x7FFFFFFF


def row_uniforms(seeds, shape, stream=PIXELS):
    """Draw uniform numbers that depend on each row's own seed alone.

    They are made from integer random bits, because the bits are the same with and
    without XLA while floating-point draws are not, and every seed half is masked to 31
    bits, because that holds for non-negative halves only.

    Args:
        seeds: Integers of shape `(batch,)`, from 0 to `MAX_SEED`.
        shape: Shape of the numbers of one row, integers or scalar tensors.
        stream: Which of the independent streams of a seed to draw from.

    Returns:
        Float32 multiples of `2**-24` in `[0, 1)`, of shape `(batch, *shape)`.
    """
    seeds = tf.cast(seeds, tf.int64)

    def one_row(seed):
        halves = tf.stack(
            [
                tf.bitwise.bitwise_and(tf.bitwise.right_shift(seed, 31), _LOW_31_BITS),
                tf.bitwise.bitwise_and(seed, _LOW_31_BITS),
            ]
        )
        key = tf.random.fold_in(tf.cast(halves, tf.int32), stream, alg="philox")
        bits = tf.random.stateless_uniform(
            shape,
            seed=tf.bitwise.bitwise_and(key, _LOW_31_BITS),
            minval=None,
            maxval=None,
            dtype=tf.int32,
            alg="philox",
        )
        top_24_bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8), 0xFFFFFF)
        return tf.cast(top_24_bits, tf.float32) * 2.0**-24

    return tf.map_fn(one_row, seeds, fn_output_signature=tf.float32)
