"""What a model computes, by eager forward passes of one image at a time."""

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.ops.precision import is_quantized
from tests.fuzz.own_likelihoods import log_prob_of_images
from tests.sampling.drawn import TIE, differences


class Honest:
    """Parameters and images of a model's forward pass, and its properties in numbers.

    It uses no sampler, no compiled function and no batch of the library, and computes
    nats by itself. It uses the library's random numbers, and `sample` of likelihoods.

    Args:
        model: An `AutoregressiveModel`.
        conditions: Dict of arrays by input name.
        half: Whether a part of the model computes in half precision.
    """

    def __init__(self, model, conditions, half=False):
        self.model = model
        self.conditions = conditions
        self.half = half
        self._params = {}

    def forward(self, images, rows, training=False):
        """Return the parameters of images with the conditions of `rows`, eagerly."""
        first, *others = self.model.inputs
        given = [tf.cast(images, first.dtype)]
        for tensor in others:
            given.append(tf.constant(self.conditions[tensor.name][rows]))
        params = self.model(given if others else given[0], training=training)
        return tf.cast(params, tf.float32)

    def params(self, images):
        """Return the parameters of images, each of which is alone in its batch."""
        found = []
        for row, image in enumerate(images):
            key = (row, image.tobytes())
            if key not in self._params:
                self._params[key] = self.forward(image[None], [row])
            found.append(self._params[key])
        return tf.concat(found, axis=0)

    def is_finite(self, images):
        return bool(np.isfinite(self.params(images)).all())

    def is_random(self, images):
        """Return whether a second forward pass differs."""
        again = Honest(self.model, self.conditions).params(images[:2])
        return bool(np.any(self.params(images[:2]) != again))

    def leaks(self, images, generator):
        """Return whether a unit sees itself, a later one or another image."""
        limit = 0.02 if self.half else 1e-4
        alone = self.params(images).numpy()
        # A number of images that is no other size, which Keras' `add` would confuse.
        rows = np.arange(13) % len(images)
        mixed = abs(self.forward(images[rows], rows).numpy() - alone[rows])
        # The last bit of an input may change how a quantized layer rounds it.
        rounded = is_quantized(self.model)
        if mixed.max() > (0.05 if rounded else limit) * (1 + abs(alone).max()):
            return True
        couples = self.model.likelihood.couples_colors
        units = self.model.likelihood.unit_shape(images.shape[1:])
        size = int(np.prod(units))
        rows = np.arange(len(images)).repeat(3)
        images = images[rows]
        positions = generator.integers(size, size=len(rows))
        later = np.arange(size) >= positions[:, None]
        later = later.reshape(len(rows), *units, *[1] * couples)
        values = self.model.likelihood.num_values
        others = generator.integers(values, size=images.shape)
        changed = np.where(later, others, images).astype("float32")
        before, after = (self.forward(each, rows).numpy() for each in (images, changed))
        place = np.arange(size).reshape(units)
        seen = place <= positions.reshape(-1, *[1] * len(units))
        seen = seen.reshape(seen.shape + (1,) * (before.ndim - seen.ndim))
        difference = np.where(seen, abs(before - after), 0)
        return bool(difference.max() > limit * (1 + abs(before).max()))

    def leaks_in_training(self, images, generator):
        """Return whether a unit sees itself or a later one in training.

        The noise of Keras is the same before and after a change. The statistics of a
        batch are none of its pixels, so `BatchNormalization` computes as in inference.
        """
        weights = {id(weight) for weight in self.model.weights}
        states = [x for x in self.model.variables if id(x) not in weights]
        states = [(state, state.numpy()) for state in states]
        normalizations = [
            layer
            for layer in self.model._flatten_layers()
            if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
        ]
        rows = np.arange(len(images))
        size = int(np.prod(self.model.likelihood.unit_shape(images.shape[1:])))

        def forward(images):
            for state, value in states:
                state.assign(value)
            with tf.init_scope():
                tf.random.set_seed(3)  # Noise of TensorFlow begins anew, too.
            return self.forward(images, rows, training=True).numpy()

        for layer in normalizations:
            layer.trainable = False
        try:
            before = forward(images)
            for _ in range(4):
                position = generator.integers(size)
                changed = self._changed(images, position, generator)
                after = forward(changed)
                if self._sees_later(before, after, images.shape[1:], position):
                    return True
        finally:
            for layer in normalizations:
                layer.trainable = True
            for state, value in states:
                state.assign(value)
        return False

    def _changed(self, images, position, generator):
        """Return images with other values from a unit on."""
        couples = self.model.likelihood.couples_colors
        units = self.model.likelihood.unit_shape(images.shape[1:])
        later = np.arange(np.prod(units)) >= position
        later = later.reshape(1, *units, *[1] * couples)
        values = self.model.likelihood.num_values
        others = (images + generator.integers(1, values, size=images.shape)) % values
        return np.where(later, others, images).astype("float32")

    def _sees_later(self, before, after, image_shape, position):
        """Return whether parameters up to a unit differ."""
        limit = 0.02 if self.half else 1e-4
        units = self.model.likelihood.unit_shape(image_shape)
        seen = np.arange(np.prod(units)).reshape(1, *units) <= position
        seen = seen.reshape(seen.shape + (1,) * (before.ndim - seen.ndim))
        difference = np.where(seen, abs(before - after), 0)
        return bool(difference.max() > limit * (1 + abs(before).max()))

    def wrong_subpixels(self, images, seeds, known=None, temperature=1.0):
        """Return how many sub-pixels are not drawn from the parameters before them.

        In a causal model, the only image whose sub-pixels are all drawn from its own
        parameters is the one that is drawn sub-pixel by sub-pixel.
        """
        slack = 0.06 if self.half else TIE
        likelihood, params = self.model.likelihood, self.params(images)
        wrong = differences(likelihood, params, images, seeds, temperature, slack)
        if known is not None:
            wrong &= known[..., None] == 0
        return int(np.count_nonzero(wrong))

    def log_prob(self, images):
        """Return nats, computed in NumPy."""
        params = self.params(images)
        return log_prob_of_images(self.model.likelihood, params, images)

    def training_log_prob(self, images):
        """Return nats of a batch in training, or None if no seed repeats them."""
        rows = np.arange(len(images))
        with keras.StatelessScope():  # It keeps the statistics of a batch, and seeds.
            params, again = (
                self.forward(images, rows, training=True).numpy() for _ in range(2)
            )
        if np.any(params != again):
            return None
        return log_prob_of_images(self.model.likelihood, params, images)
