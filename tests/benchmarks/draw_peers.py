"""DRAW and the VAE in idiomatic TensorFlow and Keras.

The weights of DRAW are a dict of tensors, with the paths in our cell as keys, such as
`encoder/kernel`. LSTM kernels have rows for the input, then for the hidden state, and
the gates o, f, i, g.
"""

import keras
import tensorflow as tf


def filters(raw, size, height, width):
    """Return row filters, column filters and gamma from `(batch, 5)`."""
    x, y, log_variance, log_stride, log_gamma = tf.split(raw, 5, axis=-1)
    stride = (max(height, width) - 1) / (size - 1) * tf.exp(log_stride)
    steps = (tf.range(size, dtype=tf.float32) - (size - 1) / 2) * stride
    scale = -0.5 * tf.exp(-log_variance)[..., None]

    def bank(center, length):
        center = (length + 1) / 2 * (center + 1) - 1
        distance = tf.range(length, dtype=tf.float32) - (center + steps)[..., None]
        return tf.nn.softmax(scale * tf.square(distance))

    return bank(y, height), bank(x, width), tf.exp(log_gamma)


def linear(inputs, weights, name):
    return tf.matmul(inputs, weights[f"{name}/kernel"]) + weights[f"{name}/bias"]


def lstm(inputs, cell, weights, name):
    """Return the new hidden and cell state; `inputs` includes the hidden state."""
    gates = linear(inputs, weights, name)
    units = cell.shape[-1]
    o, f, i = tf.split(tf.sigmoid(gates[:, : 3 * units]), 3, axis=-1)
    cell = f * cell + i * tf.tanh(gates[:, 3 * units :])
    return o * tf.tanh(cell), cell


def unrolled_draw(images, noise, weights, read_size, write_size):
    """Return the loss of DRAW, the mean over images of the bound in nats.

    Args:
        images: Black and white, `(batch, height, width, 1)`.
        noise: `(glimpses, batch, latent_dim)`.
        weights: Dict of tensors.
        read_size: Filters along either axis for reading.
        write_size: Filters along either axis for writing.
    """
    batch, height, width, _ = images.shape
    images = images[..., 0]
    names = ("canvas", "encoder_hidden", "encoder_cell")
    names += ("decoder_hidden", "decoder_cell")
    canvas, encoder_hidden, encoder_cell, hidden, cell = (
        tf.repeat(weights[f"initial_{name}"][None], batch, axis=0) for name in names
    )
    canvas = tf.reshape(canvas, (batch, height, width))
    posteriors = []
    for noise_now in tf.unstack(noise):
        # Read. Image and error are concatenated, so that one product reads both.
        rows, columns, gamma = filters(
            linear(hidden, weights, "read/attention"), read_size, height, width
        )
        pair = tf.concat([images, images - tf.sigmoid(canvas)], axis=-1)
        glimpse = tf.reshape(tf.matmul(rows, pair), (batch, 2 * read_size, width))
        glimpse = tf.matmul(glimpse, columns, transpose_b=True)
        glimpse = tf.reshape(glimpse, (batch, read_size, 2, read_size))
        glimpse = tf.reshape(tf.transpose(glimpse, (0, 1, 3, 2)), (batch, -1))
        # Encode and decode.
        encoder_hidden, encoder_cell = lstm(
            tf.concat([gamma * glimpse, hidden, encoder_hidden], axis=-1),
            encoder_cell,
            weights,
            "encoder",
        )
        posteriors.append(linear(encoder_hidden, weights, "posterior_params"))
        mean, log_stddev = tf.split(posteriors[-1], 2, axis=-1)
        hidden, cell = lstm(
            tf.concat([mean + tf.exp(log_stddev) * noise_now, hidden], axis=-1),
            cell,
            weights,
            "decoder",
        )
        # Write.
        rows, columns, gamma = filters(
            linear(hidden, weights, "write/attention"), write_size, height, width
        )
        patch = linear(hidden, weights, "write/patch") / gamma
        patch = tf.reshape(patch, (batch, write_size, write_size))
        canvas += tf.matmul(rows, tf.matmul(patch, columns), transpose_a=True)
    mean, log_stddev = tf.split(tf.stack(posteriors), 2, axis=-1)
    divergence = normal_divergence(mean, log_stddev)
    nats = tf.nn.sigmoid_cross_entropy_with_logits(images, canvas)
    return (tf.reduce_sum(nats) + tf.reduce_sum(divergence)) / batch


def normal_divergence(mean, log_stddev):
    """Return the KL divergence of each coordinate from N(0, 1)."""
    variance = tf.exp(2 * log_stddev)
    return 0.5 * (tf.square(mean) + variance - 2 * log_stddev - 1)


class HandWrittenVAE(keras.Model):
    """VAE with two dense layers per side, and hand-written noise and loss."""

    def __init__(self, image_shape, latent_dim, hidden_units):
        super().__init__()
        size = image_shape[0] * image_shape[1] * image_shape[2]
        self.flatten = keras.layers.Flatten()
        self.encoder_hidden = keras.layers.Dense(hidden_units, "tanh")
        self.posterior = keras.layers.Dense(2 * latent_dim)
        self.decoder_hidden = keras.layers.Dense(hidden_units, "tanh")
        self.logits = keras.layers.Dense(size)
        self.seed_generator = keras.random.SeedGenerator()
        self.kl = keras.metrics.Mean("kl")
        self.reconstruction = keras.metrics.Mean("reconstruction")
        self(tf.zeros((1, *image_shape)))  # Builds the layers.

    def call(self, images):
        """Return logits, and the mean and log standard deviation of the posterior."""
        posterior = self.posterior(self.encoder_hidden(self.flatten(images)))
        mean, log_stddev = tf.split(posterior, 2, axis=-1)
        noise = tf.random.stateless_normal(tf.shape(mean), self.seed_generator.next())
        z = mean + tf.exp(log_stddev) * noise
        return self.logits(self.decoder_hidden(z)), mean, log_stddev

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        logits, mean, log_stddev = y_pred
        nats = tf.nn.sigmoid_cross_entropy_with_logits(self.flatten(x), logits)
        nats = tf.reduce_mean(tf.reduce_sum(nats, axis=-1))
        divergence = normal_divergence(mean, log_stddev)
        divergence = tf.reduce_mean(tf.reduce_sum(divergence, axis=-1))
        self.reconstruction.update_state(nats)
        self.kl.update_state(divergence)
        return nats + divergence
