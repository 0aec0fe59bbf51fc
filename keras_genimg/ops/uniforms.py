"""Random numbers of images: uniform for pixels, normal for latents."""

from collections.abc import Sequence

import tensorflow as tf

from keras_genimg.types import Stream, TensorLike

# Each seed has independent streams of noise. No two uses share a stream.
PIXELS = 0
LATENTS = 1
# Latents inferred from an image: sample k uses the stream `POSTERIOR + k`.
POSTERIOR = 2
# Kinds of indexed streams, used as `(kind, index)`. Kinds are negative because any
# number from 0 may be a stream without an index.
CANDIDATES = -1  # Candidate k of a completion, from 1; candidate 0 uses `PIXELS`.
CHOICE = -2  # Choice of the candidate to return; the only index is 0.
ORDER = -3  # Order of an oriented model; the only index is 0.

MAX_SEED = 2**62 - 1

_LOW_31_BITS = 0x7FFFFFFF


def seeded_uniforms(
    seeds: TensorLike, shape: Sequence[int | tf.Tensor], stream: Stream = PIXELS
) -> tf.Tensor:
    """Return uniform numbers for each seed that depend on that seed alone.

    The numbers are made from integer random bits, which are the same with and without
    XLA; floating-point draws are not. This holds only for non-negative seeds, so each
    half of a seed is masked to 31 bits.

    Args:
        seeds: Integers of shape `(batch,)`, from 0 to `MAX_SEED`.
        shape: Shape of the numbers for one seed, integers or scalar tensors.
        stream: Independent stream of the seed to draw from: an integer, or a tuple of a
            kind and an index. Each is one integer, or integers of shape `(batch,)`.

    Returns:
        Float32 multiples of `2**-24` in `[0, 1)`, of shape `(batch, *shape)`.
    """
    seeds = tf.cast(seeds, tf.int64)
    numbers = stream if isinstance(stream, tuple) else (stream,)
    numbers = [
        tf.broadcast_to(tf.cast(number, tf.int32), tf.shape(seeds))
        for number in numbers
    ]

    def uniforms_of_seed(inputs):
        seed, *numbers = inputs
        halves = tf.bitwise.right_shift(seed, [31, 0])
        key = tf.cast(tf.bitwise.bitwise_and(halves, _LOW_31_BITS), tf.int32)
        for number in numbers:
            key = tf.random.fold_in(key, number, alg="philox")
            key = tf.bitwise.bitwise_and(key, _LOW_31_BITS)
        bits = tf.random.stateless_uniform(
            shape, seed=key, minval=None, maxval=None, dtype=tf.int32, alg="philox"
        )
        top_24_bits = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 8), 0xFFFFFF)
        return tf.cast(top_24_bits, tf.float32) * 2.0**-24

    return tf.map_fn(
        uniforms_of_seed, (seeds, *numbers), fn_output_signature=tf.float32
    )


def seeded_normals(
    seeds: TensorLike, shape: Sequence[int | tf.Tensor], stream: Stream = LATENTS
) -> tf.Tensor:
    """Return standard normal numbers for each seed that depend on that seed alone.

    Args:
        seeds: Integers of shape `(batch,)`, from 0 to `MAX_SEED`.
        shape: Shape of the numbers for one seed, integers or scalar tensors.
        stream: Independent stream of the seed to draw from: an integer, or a tuple of a
            kind and an index. Each is one integer, or integers of shape `(batch,)`.

    Returns:
        Float32, of shape `(batch, *shape)`, from -5.4 to 5.4.
    """
    uniforms = seeded_uniforms(seeds, shape, stream)
    # Odd multiples of 2**-24 are symmetric about 1/2 and never 0 or 1.
    steps = tf.bitwise.bitwise_or(tf.cast(uniforms * 2.0**24, tf.int32), 1)
    return tf.math.ndtri(tf.cast(steps, tf.float32) * 2.0**-24)


def next_seed(generator):
    """Return the next seed of a Keras generator; all replicas have the same one.

    Args:
        generator: A `keras.random.SeedGenerator`.

    Returns:
        Two non-negative integers, int32, for stateless random functions.
    """
    seed = tf.cast(tf.convert_to_tensor(generator.next()), tf.int64)
    seed = tf.cast(tf.bitwise.bitwise_and(seed, _LOW_31_BITS), tf.int32)
    # One device draws the same noise as when each replica folded in its number.
    return tf.bitwise.bitwise_and(tf.random.fold_in(seed, 0), _LOW_31_BITS)
