"""What an autoregressive model draws, and in which order."""

import math

import numpy as np

from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.sampling import METHODS


class DrawingOrder(GenerativeModel):
    """Base class of autoregressive models: one network that draws in raster order.

    Its methods are hooks, for models that draw with several networks, in another order,
    or not all pixels.
    """

    # Flat indices of the pixels in the order in which they are drawn; None for raster
    # order. Boolean map of the pixels that are drawn; None for all.
    _pixel_order: np.ndarray | None = None
    _drawn_pixels: np.ndarray | None = None

    def _sampler(self, method, jit_compile=False, **options):
        """Return a function that draws images, see `keras_genimg.sampling.METHODS`."""
        return METHODS[method](self, jit_compile, **options)

    def _networks(self, images, conditions):
        """Return the networks that draw images, with their inputs.

        Returns:
            List of `(model, images, conditions)`.
        """
        return [(self, images, conditions)]

    def _drawn(self, images):
        """Return all that is drawn for images, of which the outputs are parameters."""
        return images

    def _drawn_shape(self, image_shape):
        """Return the shape of what is drawn, without the batch."""
        return image_shape

    def _targets_of(self, x, y_pred):
        return self._drawn(super()._targets_of(x, y_pred))

    def _known(self, images, known, conditions):
        """Return the images and the known pixels of a completion.

        Args:
            images: Checked images, float32.
            known: 1 at known sub-pixels, else 0; of the shape of the images.
            conditions: List of checked conditions.

        Raises:
            ValueError: If the model cannot complete such images.
        """
        return images, known

    def _num_passes(self, image_shape):
        """Return the number of forward passes of the ancestral sampler."""
        return math.prod(self.likelihood.unit_shape(image_shape))
