"""The plain sampler: one forward pass a sub-pixel."""

import tensorflow as tf
from keras import ops


def ancestral_sampler(model):
    """Return a function that draws images, each sub-pixel by a whole forward pass.

    It asks nothing of the model but that it be causal, and is the reference that
    faster samplers must match.

    Args:
        model: An `AutoregressiveModel`.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, and a list of conditions, that returns float32 images
        of the shape of `uniforms`.
    """

    def draw(uniforms, temperature, conditions):
        batch, height, width, colors = ops.shape(uniforms)
        size = height * width * colors
        position = tf.reshape(tf.range(size), (1, height, width, colors))

        def step(index, images):
            inputs = [images, *conditions] if conditions else images
            params = model(inputs, training=False)
            drawn = model.likelihood.sample(params, uniforms, temperature)
            return index + 1, tf.where(position == index, drawn, images)

        _, images = tf.while_loop(
            lambda index, _: index < size,
            step,
            (tf.constant(0), tf.zeros_like(uniforms)),
            maximum_iterations=size,
        )
        return images

    return draw
