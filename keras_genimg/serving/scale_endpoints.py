"""Functions of models of several scales that enlarge images."""

import tensorflow as tf

from keras_genimg.ops.scales import factors_between, is_copied, placed
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling.drawing import temperatures
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.input import images_input, seed_input


def enlarging_function(model, index, method, jit_compile):
    """Return a function for a graph that draws large images of given small ones.

    Args:
        model: A `MultiScalePixelRNN`.
        index: Index of the scale of the small images.
        method: `"incremental"`, `"fixed_point"` or `"ancestral"`.
        jit_compile: Whether to compile with XLA.

    Returns:
        A function of seeds, `(batch,)`, a temperature, and float32 small images.
    """
    networks = model.scale_models[index + 1 :]
    draws = [network._sampler(method, jit_compile) for network in networks]

    def enlarge(seeds, temperature, images):
        # The numbers of `generate`, those of the smaller scales left out.
        uniforms = seeded_uniforms(seeds, model._drawn_shape(model.image_shape))
        temperature = temperatures(temperature)
        parts = model._at_scales(uniforms)[index + 1 :]
        for draw, here in zip(draws, parts, strict=True):
            images = draw(here, temperature, [tf.cast(images, tf.int32)])
        return tf.ensure_shape(images, (None, *model.image_shape))

    return enlarge


def enlarger(model, index, method, jit_compile):
    """Return `enlarging_function` compiled, with images in the likelihood's type."""
    enlarge = enlarging_function(model, index, method, jit_compile)
    shape = (None, *model.scales[index], model.image_shape[2])
    return tf.function(
        lambda *inputs: tf.cast(enlarge(*inputs), model.likelihood.dtype),
        input_signature=[
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.float32),
            tf.TensorSpec(shape),
        ],
        autograph=False,
        jit_compile=jit_compile,
    )


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
    enlarge = enlarging_function(model, len(model.scales) - 2, method, jit_compile)
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
    inputs = {"images": small_images, "seed": seed_input()}
    return Endpoint(run, inputs, jit_compile, mergeable=True)
