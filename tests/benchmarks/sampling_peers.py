"""Other ways to draw images from a PixelCNN or PixelRNN.

The first two use the library's model and uniform numbers, and draw only the first
pixels. Their pixels can be compared without drawing whole images.
"""

import numpy as np
import tensorflow as tf


def forward_passes(model, pixels):
    """Return a compiled function that draws pixels with one forward pass each.

    It works like the library's ancestral sampler, but ends after `pixels` pixels.
    """

    @tf.function(autograph=False)
    def draw(uniforms):
        _, height, width, _ = uniforms.shape
        position = tf.reshape(tf.range(height * width), (1, height, width, 1))

        def step(index, images):
            logits = model(images, training=False)
            drawn = tf.cast(uniforms >= tf.sigmoid(-logits), tf.float32)
            return index + 1, tf.where(position == index, drawn, images)

        _, images = tf.while_loop(
            lambda index, _: index < pixels,
            step,
            (tf.constant(0), tf.zeros_like(uniforms)),
            maximum_iterations=pixels,
        )
        return images

    return draw


def predict_calls(model, uniforms, pixels):
    """Draw pixels with one `predict` call each, like keras.io's PixelCNN example.

    See https://keras.io/examples/generative/pixelcnn/
    """
    images = np.zeros(uniforms.shape, "float32")
    for index in range(pixels):
        row, column = divmod(index, uniforms.shape[2])
        logits = model.predict(images, verbose=0)[:, row, column]
        probabilities = 1 / (1 + np.exp(logits))
        images[:, row, column] = uniforms[:, row, column] >= probabilities
    return images


def tfp_pixel_cnn(size):
    """Return TFP's PixelCNN, about as large as a PixelCNN of 7 blocks of 32 units.

    At 28x28 it has 130,323 parameters; ours has 129,569. For the best speed, it has no
    dropout, no weight normalization and no mixture, which binary pixels do not need.
    """
    import tensorflow_probability as tfp

    return tfp.distributions.PixelCNN(
        image_shape=(size, size, 1),
        num_resnet=1,
        num_hierarchies=1,
        num_filters=24,
        num_logistic_mix=1,
        dropout_p=0.0,
        use_weight_norm=False,
        use_data_init=False,
        low=0,
        high=1,
    )
