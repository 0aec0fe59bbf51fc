"""The function that each method of sampling returns."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf


class PixelSampler(Protocol):
    """Function of random numbers that samples the pixels of a network."""

    def __call__(
        self,
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[tf.Tensor],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
    ) -> tf.Tensor:
        """Return images in the likelihood's own range.

        Args:
            uniforms: A random number from 0 to 1 for each sub-pixel,
                `(batch, height, width, colors)`.
            temperature: Number that divides the logits. It broadcasts against the
                uniforms of one color.
            conditions: The model's inputs besides the images, in order.
            images: Images to complete, of the shape of `uniforms`, if any.
            known: 1 at their known sub-pixels, else 0.

        Returns:
            Float32 images of the shape of `uniforms`.
        """
        ...
