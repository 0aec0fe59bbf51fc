"""The sampler's parameters on given images, compared with a forward pass."""

import functools

import numpy as np
import tensorflow as tf

from keras_genimg.causality.sampler_check import difference_of_params, tolerance
from keras_genimg.inputs.images import condition_arrays, sized_image_shape
from keras_genimg.sampling import teacher_forced_params


def random_images(model, num_images=3, image_size=None, seed=0):
    shape = sized_image_shape(model, image_size, "random_images")
    values = np.random.default_rng(seed).integers(
        model.likelihood.num_values, size=(num_images, *shape)
    )
    return tf.constant(values, tf.float32)


def assert_sampled_as_computed(
    model, num_images=3, conditions=None, image_size=None, jit_compile=False
):
    """Check that every sub-pixel is drawn from the forward pass's parameters."""
    images = random_images(model, num_images, image_size)
    conditions = [
        tf.constant(values)
        for values in condition_arrays(model, conditions, num_images)
    ]
    compute = functools.partial(teacher_forced_params, model, jit_compile=jit_compile)
    if jit_compile:
        compute = tf.function(compute, autograph=False, jit_compile=True)
    # Otherwise eagerly: to trace the graph would take longer than to run it.
    params = compute(images, conditions)
    expected = model([images, *conditions] if conditions else images)
    difference = difference_of_params(params, expected).numpy()
    assert difference.max() <= tolerance(model, images, conditions), difference
