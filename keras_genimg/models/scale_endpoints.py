"""Endpoint of models of several scales."""

import tensorflow as tf

from keras_genimg.ops.scales import factors_between, is_copied, placed
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.saved_model.endpoint import Endpoint
from keras_genimg.saved_model.input import images_input, seed_input


def enlarge_endpoint(model, jit_compile, method):
    """Return the endpoint `enlarge`: it draws large images of given small ones.

    Args:
        model: A `MultiScalePixelRNN`.
        jit_compile: Whether to compile with XLA.
        method: `"incremental"`, `"fixed_point"` or `"ancestral"`.

    Returns:
        An `Endpoint` with the inputs `images`, of the last scale but one, and `seed`.
    """
    small, large = model.scales[-2:]
    colors = model.image_shape[2]
    factors = factors_between(small, large)
    copied = is_copied(large, factors)[None, ..., None]
    draw = model._sampler(method, jit_compile)
    likelihood = model.likelihood

    def run(images, seed):
        given = placed(tf.cast(likelihood.from_display(images), tf.float32), factors)
        known = tf.broadcast_to(tf.cast(copied, tf.float32), tf.shape(given))
        uniforms = seeded_uniforms(seed, model.image_shape)
        drawn = draw(uniforms, tf.ones((1, 1, 1, 1)), [], given, known)
        drawn = tf.ensure_shape(drawn, (None, *model.image_shape))
        displayed = likelihood.to_display(drawn)
        # Return the small images exactly as sent, as `complete` does.
        sent = placed(tf.cast(images, tf.uint8), factors)
        return {"images": tf.where(copied, sent, displayed)}

    inputs = {"images": images_input((*small, colors)), "seed": seed_input()}
    return Endpoint(run, inputs, jit_compile)
