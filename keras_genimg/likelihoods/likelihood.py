"""Base class of the pixel distributions."""

from collections.abc import Callable, Sequence
from typing import Any, overload

import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.ops.checks import is_real
from keras_genimg.ops.configurable import Configurable
from keras_genimg.types import (
    Distribution,
    Shape,
    SymbolicTensor,
    Temperature,
    TensorLike,
)

_NEEDS_NUMBERS = "expects pixels that are real numbers. Received: dtype"


class Likelihood(Configurable):
    """Distribution of pixels given parameters computed by a network.

    A subclass sets `num_values`, and implements `distribution` and `sample`.

    By default, the sub-pixels of an image are independent given their parameters. An
    autoregressive network then computes the parameters of a color from earlier colors,
    and is evaluated once per sub-pixel during generation. Parameters have the shape of
    the images, with one more axis if `params_size` is above 1.

    A likelihood with `couples_colors = True` is a joint distribution of the colors of a
    pixel, such as a mixture of discretized logistics. Features of a pixel then depend
    on none of its colors, and a network is evaluated once per pixel. Besides `sample`,
    such a class implements:

    - `params_shape`: any shape that begins with height and width;
    - `log_prob`: nats per pixel, for all colors jointly;
    - `at_temperature`, to complete images with more than one candidate;
    - `mean`, for models with latent variables.

    A likelihood with finitely many values is checked before the first number that a
    model computes with it, once for each class and its attributes: called with random
    parameters, its probabilities must sum to 1, and the values of `sample` must have
    them. Parameters may be any real numbers, unless the class overrides `head` and its
    last layer limits them.

    Attributes:
        num_values: Number of values, for pixels from 0 to `num_values - 1`; None for
            real intensities from 0 to 1.
        binarizes: Whether gray levels are binarized at random, with the level as the
            probability of a 1, instead of rounded. See `keras_genimg.datasets.load`.
        params_size: Parameters per sub-pixel, used by the default `params_shape`.
        couples_colors: Whether the colors of a pixel are sampled together.

    Example:
        Three binary colors, with a table of all eight pixels:

        >>> class PixelTable(Likelihood):
        ...     num_values, couples_colors = 2, True
        ...     def params_shape(self, image_shape):
        ...         return (*image_shape[:2], 8)
        ...     def log_prob(self, params, images):
        ...         index = tf.reduce_sum(tf.cast(images, tf.float32) * [4, 2, 1], -1)
        ...         return Categorical(8).log_prob(params, index)
        ...     def sample(self, params, uniforms, temperature=1.0):
        ...         logits = params / temperature
        ...         index = Categorical(8).sample(logits, uniforms[..., 0])
        ...         return index[..., None] // [4, 2, 1] % 2
    """

    num_values: int | None = None
    binarizes: bool = False
    params_size: int | None = None
    couples_colors: bool = False

    def params_shape(self, image_shape: Sequence[int | None]) -> tuple[Any, ...]:
        """Return the shape of the parameters of an image.

        Args:
            image_shape: `(height, width, colors)`; height and width may be None.

        Returns:
            A tuple that begins with height and width.
        """
        if self.params_size == 1:
            return tuple(image_shape)
        return (*image_shape, self.params_size)

    def unit_shape(self, image_shape: Sequence[Any]) -> tuple[Any, ...]:
        """Return the shape of an image in units, which are sampled one at a time.

        Args:
            image_shape: `(height, width, colors)`, integers or scalar tensors.

        Returns:
            `image_shape`, whose units are sub-pixels; or `(height, width)` if the
            likelihood couples the colors of a pixel.
        """
        return tuple(image_shape[:2] if self.couples_colors else image_shape)

    def mask_colors(self, num_colors: int) -> int:
        """Return the number of colors for the masks of an autoregressive network.

        With 1, mask `"A"` hides all colors of a pixel from its own features.

        Args:
            num_colors: Number of colors of the images.
        """
        return 1 if self.couples_colors else num_colors

    def head(
        self,
        x: SymbolicTensor,
        num_colors: int,
        convolve: Callable[[SymbolicTensor, Shape], SymbolicTensor],
    ) -> SymbolicTensor:
        """Return the output layer of an autoregressive network.

        Override this if the last layers are not a single convolution. This package does
        not import layers, so the convolution is passed as a function, see
        `keras_genimg.networks.likelihood_head`.

        Args:
            x: Symbolic features, `(batch, height, width, channels)`.
            num_colors: Number of colors of the images.
            convolve: Function of features and the shape of the parameters of a pixel,
                `(n,)` or `(colors, n)`. Returns a 1x1 convolution of the features with
                the network's mask, float32, `(batch, height, width, *shape)`.

        Returns:
            Symbolic float32 tensor of shape `(batch, *params_shape)`.
        """
        return convolve(x, self.params_shape((None, None, num_colors))[2:])

    def distribution(self, params: TensorLike) -> Distribution:
        """Return the TFP distribution of all sub-pixels, in float32.

        `log_prob` and `mean` use it. A likelihood that overrides both does not need it.
        """
        raise NotImplementedError

    def sample(
        self, params: TensorLike, uniforms: TensorLike, temperature: Temperature = 1.0
    ) -> tf.Tensor:
        """Sample pixels by the inverse of the cumulative distribution function.

        Args:
            params: Parameters, of `params_shape` after the batch, or of single units,
                without the axes of height and width.
            uniforms: Uniform numbers in `[0, 1)`, one per sub-pixel, of the images'
                shape; for single units `(batch, colors)`, or `(batch, 1)` for a single
                sub-pixel.
            temperature: Divides the logits; values below 1 give likelier images. A
                number, or a tensor that broadcasts against `uniforms`.

        Returns:
            Float32 pixels in the likelihood's own range, of the shape of `uniforms`.
        """
        raise NotImplementedError

    def at_temperature(self, params: TensorLike, temperature: Temperature) -> tf.Tensor:
        """Return the parameters of the distribution of what `sample` returns.

        With more than one candidate, `complete` uses this to weight the candidates by
        the distribution they were sampled from.

        Args:
            params: Parameters of the images.
            temperature: Divides the logits; values below 1 give likelier images. A
                number, or a tensor that broadcasts against the images.

        Returns:
            Float32 parameters of the shape of `params`.

        Raises:
            NotImplementedError: If the likelihood does not define them.
        """
        raise NotImplementedError(
            f"{type(self).__name__} does not define `at_temperature`, which `complete` "
            f"needs to weight candidates. Implement it, or use num_candidates=1."
        )

    def mean(self, params: TensorLike) -> tf.Tensor:
        """Return the mean of each sub-pixel, in the likelihood's own range."""
        return self.distribution(params).mean()

    def log_prob(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        """Return the log-probability of each unit of images.

        Args:
            params: Parameters of the images.
            images: Pixels in the likelihood's own range,
                `(batch, height, width, colors)`.

        Returns:
            Nats, float32, of the shape of `images`, without the last axis if the
            likelihood couples the colors of a pixel. `log_prob_of_pixels` and
            `log_prob_of_images` return the same shape for all likelihoods.
        """
        return self.distribution(params).log_prob(tf.cast(images, tf.float32))

    def log_prob_of_pixels(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        """Return nats per pixel, summed over its colors: `(batch, height, width)`.

        Args:
            params: Parameters of the images.
            images: Pixels in the likelihood's own range,
                `(batch, height, width, colors)`.
        """
        log_prob = self.log_prob(params, images)
        return log_prob if self.couples_colors else tf.reduce_sum(log_prob, axis=-1)

    def log_prob_of_images(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        """Return nats per image, `(batch,)`.

        Args:
            params: Parameters of the images.
            images: Pixels in the likelihood's own range,
                `(batch, height, width, colors)`.
        """
        axes = (1, 2) if self.couples_colors else (1, 2, 3)
        return tf.reduce_sum(self.log_prob(params, images), axis=axes)

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
        return images == self._nearest(images)  # NaN gives False.

    def all_in_range(self, images: TensorLike) -> tf.Tensor:
        """Return whether every pixel is in range, as a boolean scalar.

        This is three times as fast as reducing `in_range`, because TensorFlow compares
        numbers and reduces booleans slowly. A pixel within 1e-19 of a valid value
        passes, since its squared distance underflows to 0.
        """
        images = _as_float(images)
        return tf.nn.l2_loss(images - self._nearest(images)) == 0  # NaN gives False.

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
        if not is_real(images):
            raise ValueError(f"{owner} {_NEEDS_NUMBERS} {images.dtype}")
        if images.dtype == bool or images.size == 0:
            return
        low, high = images.min(), images.max()
        in_range = low >= 0 and high <= self.max_value  # NaN gives False.
        if in_range and images.dtype.kind not in "iu" and self.num_values is not None:
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
        scaled = tf.round(tf.cast(images, tf.float32) * (255 / self.max_value))
        shown = tf.cast(tf.clip_by_value(scaled, 0, 255), tf.uint8)
        return shown if tf.is_tensor(images) else shown.numpy()

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
        values = tf.cast(images, tf.float32) * (self.max_value / 255)
        if self.num_values is not None:
            values = tf.round(values)
        return values if tf.is_tensor(images) else values.numpy().astype(self.dtype)

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
