"""Pixel values of a likelihood: range, checks and conversion."""

from typing import overload

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.types import TensorLike

_NEEDS_NUMBERS = "expects pixels that are real numbers. Received: dtype"


class PixelValues:
    """Pixel values: integers from 0, or real numbers from 0 to 1.

    Attributes:
        num_values: Number of values, for pixels from 0 to `num_values - 1`; None for
            real intensities from 0 to 1.
        binarizes: Whether gray levels are binarized at random, with the level as the
            probability of a 1, instead of rounded. See `keras_genimg.datasets.load`.
    """

    num_values: int | None = None
    binarizes: bool = False

    @property
    def max_value(self) -> int:
        """Largest value of a pixel."""
        return 1 if self.num_values is None else self.num_values - 1

    @property
    def dtype(self) -> type[np.number]:
        """NumPy dtype of images, uint8 if it can hold every value."""
        if self.num_values is None:
            return np.float32
        return np.uint8 if self.num_values <= 256 else np.int32

    @property
    def pixel_range(self) -> str:
        """Human-readable pixel range."""
        kind = "real numbers" if self.num_values is None else "integers"
        return f"{kind} from 0 to {self.max_value}"

    def in_range(self, images: TensorLike) -> tf.Tensor:
        """Return a boolean mask of the pixels that are in range."""
        images = _as_float(images)
        return images == self._nearest(images)  # False for NaN.

    def all_in_range(self, images: TensorLike) -> tf.Tensor:
        """Return whether every pixel is in range, as a boolean scalar.

        This is three times as fast as reducing `in_range`, because TensorFlow compares
        numbers and reduces booleans slowly. A pixel within 1e-19 of a valid value
        passes, since its squared distance underflows to 0.
        """
        images = _as_float(images)
        return tf.nn.l2_loss(images - self._nearest(images)) == 0  # False for NaN.

    def _nearest(self, images):
        nearest = images if self.num_values is None else tf.round(images)
        # `tf.clip_by_value` would read the images twice.
        return tf.raw_ops.ClipByValue(
            t=nearest, clip_value_min=0.0, clip_value_max=float(self.max_value)
        )

    def check_images(self, images: np.ndarray, owner: str = "This likelihood") -> None:
        """Raise an error unless all pixels of a NumPy array are in range.

        Args:
            images: NumPy array of pixels.
            owner: Name of the caller, for the error text.

        Raises:
            ValueError: If a pixel is not in `pixel_range`.
        """
        if images.dtype == bool or images.size == 0:
            return
        if images.dtype.kind in "cSUO":
            raise ValueError(f"{owner} {_NEEDS_NUMBERS} {images.dtype}")
        low, high = images.min(), images.max()
        in_range = low >= 0 and high <= self.max_value  # False for NaN.
        if in_range and images.dtype.kind == "f" and self.num_values is not None:
            in_range = (images % 1 == 0).all()
        if not in_range:
            raise ValueError(
                f"{owner} expects pixels that are {self.pixel_range}, the range of "
                f"{self}. {self._hint} Received: values from {low} to {high}, dtype "
                f"{images.dtype}"
            )

    @overload
    def to_display(self, images: tf.Tensor) -> tf.Tensor: ...

    @overload
    def to_display(self, images: ArrayLike) -> np.ndarray: ...

    def to_display(self, images: ArrayLike | tf.Tensor) -> TensorLike:
        """Convert pixels, or their means, to displayable integers 0 to 255.

        Args:
            images: Array or tensor in the likelihood's own range. Intensities outside
                of it, from a `Gaussian`, become 0 or 255.

        Returns:
            The same shape in uint8: a NumPy array for an array.
        """
        factor = 255 / self.max_value
        if tf.is_tensor(images):
            scaled = tf.round(tf.cast(images, tf.float32) * factor)
            return tf.cast(tf.clip_by_value(scaled, 0, 255), tf.uint8)
        scaled = np.round(np.asarray(images, "float32") * np.float32(factor))
        return np.clip(scaled, 0, 255).astype("uint8")

    @overload
    def from_display(self, images: tf.Tensor) -> tf.Tensor: ...

    @overload
    def from_display(self, images: ArrayLike) -> np.ndarray: ...

    def from_display(self, images: ArrayLike | tf.Tensor) -> TensorLike:
        """Convert displayable integers 0 to 255 to the nearest pixel values.

        Args:
            images: Array or tensor of integers from 0 to 255.

        Returns:
            The same shape in float32 for a tensor, in `dtype` for an array.
        """
        factor = self.max_value / 255
        is_tensor = tf.is_tensor(images)
        if is_tensor:
            scaled = tf.cast(images, tf.float32) * factor
        else:
            scaled = np.asarray(images, "float32") * np.float32(factor)
        if self.num_values is None:
            return scaled
        return tf.round(scaled) if is_tensor else np.round(scaled).astype(self.dtype)

    @property
    def _hint(self):
        if self.num_values is None:
            return (
                "Divide pixels from 0 to 255 by 255 first, as "
                "`datasets.load(..., intensities=True)` does."
            )
        return (
            f"Quantize them first, as `datasets.load(..., num_values="
            f"{self.num_values})` does, or `likelihood.from_display` for integers from "
            f"0 to 255."
        )


def _as_float(images):
    images = tf.convert_to_tensor(images)
    if images.dtype.is_complex or images.dtype == tf.string:
        raise ValueError(f"A model {_NEEDS_NUMBERS} {images.dtype.name}")
    return tf.cast(images, tf.float32)
