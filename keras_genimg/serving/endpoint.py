"""Endpoints: functions that a server runs, and the checks of what clients send."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_genimg.ops.uniforms import MAX_SEED


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A function that a server offers.

    Every input and output has the batch as its first axis, and row `i` of an output
    depends on row `i` of the inputs alone, so that a server may merge requests.

    Attributes:
        function: Takes the inputs by name and returns a dict of outputs by name.
        inputs: `tf.TensorSpec` of each input, by name.
    """

    function: Callable
    inputs: dict

    def concrete(self, max_rows):
        """Return the traced function, which checks shapes before all else.

        TensorFlow Serving checks no shapes, and a wrong rank that reaches a
        convolution ends its process.

        Args:
            max_rows: Most rows that one call may have.
        """

        def run(**inputs):
            inputs = {
                name: tf.ensure_shape(inputs[name], spec.shape)
                for name, spec in self.inputs.items()
            }
            rows = [tf.shape(tensor)[0] for tensor in inputs.values()]
            checks = [
                tf.debugging.Assert(
                    (rows[0] > 0) & (rows[0] <= max_rows),
                    [f"a call takes 1 to {max_rows} rows, got", rows[0]],
                ),
                tf.debugging.Assert(
                    tf.reduce_all(tf.equal(rows, rows[0])),
                    [
                        f"{', '.join(inputs)} must have the same number of rows, got",
                        rows,
                    ],
                ),
            ]
            with tf.control_dependencies(checks):
                inputs = {name: tf.identity(tensor) for name, tensor in inputs.items()}
            return self.function(**inputs)

        specs = {
            name: tf.TensorSpec(spec.shape, spec.dtype, name=name)
            for name, spec in self.inputs.items()
        }
        return tf.function(run, autograph=False).get_concrete_function(**specs)


def checked_seeds(seeds):
    """Return seeds that are refused where they are out of range."""
    check = tf.debugging.Assert(
        tf.reduce_all((seeds >= 0) & (seeds <= MAX_SEED)),
        ["seed must be integers from 0 to 2**62 - 1, got", seeds],
    )
    with tf.control_dependencies([check]):
        return tf.identity(seeds)


def checked_images(images):
    """Return displayable images that are refused where they are out of range."""
    check = tf.debugging.Assert(
        tf.reduce_all((images >= 0) & (images <= 255)),
        [
            "images must be integers from 0 to 255, got values from",
            tf.reduce_min(images),
            "to",
            tf.reduce_max(images),
        ],
    )
    with tf.control_dependencies([check]):
        return tf.identity(images)


def checked_known(known):
    """Return masks of known pixels that are refused where they are neither 0 nor 1."""
    check = tf.debugging.Assert(
        tf.reduce_all((known == 0) | (known == 1)),
        [
            "known must be 0 or 1, got values from",
            tf.reduce_min(known),
            "to",
            tf.reduce_max(known),
        ],
    )
    with tf.control_dependencies([check]):
        return tf.identity(known)


def checked_latents(latents):
    """Return latent vectors that are refused where they are not finite."""
    check = tf.debugging.Assert(
        tf.reduce_all(tf.math.is_finite(latents)),
        ["latent must be finite numbers, got", latents],
    )
    with tf.control_dependencies([check]):
        return tf.identity(latents)
