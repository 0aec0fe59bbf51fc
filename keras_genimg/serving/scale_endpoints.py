"""The endpoint of models of several scales that enlarges images."""

import tensorflow as tf

from keras_genimg.ops.scales import factors_between, is_copied, placed
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.input import SEED, images_input


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
    method = model._drawer.checked_method(method)
    enlarge = model._drawer.from_seeds(
        method, model.image_shape, jit_compile, first=len(model.scales) - 1
    )
    likelihood = model.likelihood

    def run(images, seed):
        given = tf.cast(likelihood.from_display(images), tf.float32)
        displayed = likelihood.to_display(enlarge(seed, 1.0, given))
        if model.subsampling == "top_left":
            # Return the small images exactly as sent, as `complete` does.
            factors = factors_between(small, large)
            sent = placed(tf.cast(images, tf.uint8), factors)
            copied = is_copied(large, factors)[None, ..., None]
            displayed = tf.where(copied, sent, displayed)
        return {"images": displayed}

    small_images = images_input((*small, model.image_shape[2]))
    inputs = {"images": small_images, "seed": SEED}
    return Endpoint(run, inputs, jit_compile, mergeable=True)
