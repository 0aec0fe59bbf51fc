"""The conditional network of a Multi-Scale PixelRNN."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.losses.negative_log_likelihood import MaskedNegativeLogLikelihood
from keras_genimg.models.pixel_network import PixelNetwork, checked_arguments
from keras_genimg.models.pixel_rnn import layer_maker
from keras_genimg.networks import pixel_stack
from keras_genimg.networks.upsampling import upsampling_network
from keras_genimg.ops.checks import check_choice, check_image_shape
from keras_genimg.ops.scales import (
    check_scales,
    factors_between,
    is_copied,
    placed,
    scale_order,
    subsampled,
)
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.types import Config, Policy, Shape


@keras.saving.register_keras_serializable(package="keras_genimg")
class EnlargingPixelRNN(PixelNetwork):
    """PixelRNN that draws an image given a smaller one.

    A network of transposed convolutions makes a map of the large size from the small
    image. This map is an input of every layer.

    If the small image holds the top-left pixel of each cell of the large one, these
    copied pixels are known: they are not drawn, their probability is 1, and they are
    not in the loss. If it holds the means of the cells, all pixels are drawn.

    Large images must have the copied pixels. Arrays are checked, and all that
    `log_prob` receives; a data set for `fit` is not. `MultiScalePixelRNN.at_scale`
    makes both kinds of images. Only the whole model can be exported.

    Args:
        image_shape: `(height, width, colors)` of the large image.
        small_size: Size of the small image, an integer for a square or
            `(height, width)`, of which the large size is a multiple.
        units: Units of an LSTM layer, at least `colors`.
        num_layers: Number of LSTM layers.
        layer: `"diagonal"` or `"row"`.
        head_filters: Channels of the head.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        kernel_size: Odd kernel width of a Row LSTM in pixels; not used by diagonal
            layers.
        first_kernel_size: Odd size of the first convolution in pixels.
        num_head_layers: Number of 1×1 convolutions in the head.
        residual: Whether the layers are in residual blocks.
        skip: Whether every layer is connected to the head.
        condition_filters: Channels of the map that is made of the small image.
        subsampling: `"top_left"` if small images hold the top-left pixels, or `"box"`
            if they hold means.
        dtype: Dtype policy of the layers; the likelihood's parameters are float32.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Input shape:
        A dict of `"images"`, `(batch, height, width, colors)`, and `"small_images"`,
        integers `(batch, small height, small width, colors)`, both in the likelihood's
        own range.

    Output shape:
        Parameters of the likelihood, float32, of its `params_shape` after the batch.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> model = EnlargingPixelRNN((8, 8, 1), 4, units=16, num_layers=2)
        >>> drawn = model.generate(3, conditions=small_images)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4 (Multi-Scale PixelRNN), https://arxiv.org/abs/1601.06759
    """

    def __init__(
        self,
        image_shape: Sequence[int],
        small_size: int | Sequence[int],
        units: int,
        num_layers: int,
        layer: Literal["diagonal", "row"] = "diagonal",
        head_filters: int = 32,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        kernel_size: int = 3,
        first_kernel_size: int = 7,
        num_head_layers: int = 2,
        residual: bool = True,
        skip: bool = True,
        condition_filters: int = 32,
        subsampling: Literal["top_left", "box"] = "top_left",
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        owner = type(self).__name__
        likelihood = likelihoods.get(likelihood)
        image_shape = check_image_shape(image_shape, owner)
        scales = check_scales((small_size, image_shape[:2]), image_shape, owner)
        make_layer = layer_maker(owner, layer, units, kernel_size, residual)
        stacked = {
            "head_filters": head_filters,
            "num_head_layers": num_head_layers,
            "first_kernel_size": first_kernel_size,
            "skip": skip,
        }
        arguments = {
            "small_size": scales[0],
            "units": units,
            "num_layers": num_layers,
            "layer": layer,
            "kernel_size": kernel_size,
            "residual": residual,
            "condition_filters": condition_filters,
            "subsampling": check_choice(
                "subsampling", subsampling, ("top_left", "box"), owner
            ),
            **stacked,
        }
        arguments = checked_arguments(owner, image_shape, likelihood, arguments)
        factors = factors_between(*scales)
        images = keras.Input(image_shape, name="images")
        small = keras.Input(
            (*scales[0], image_shape[2]), dtype="int32", name="small_images"
        )
        condition = upsampling_network(
            small, factors, condition_filters, likelihood, dtype
        )
        outputs = pixel_stack(
            images,
            make_layer,
            num_layers,
            2 * units,
            likelihood,
            condition=condition,
            dtype=dtype,
            **stacked,
        )
        super().__init__(
            [images, small], outputs, likelihood, arguments, dtype=dtype, **kwargs
        )
        self.factors = factors
        if subsampling == "top_left":
            self._drawn_pixels = ~is_copied(scales[1], factors)
            self._pixel_order = scale_order(scales)

    @property
    def condition_ranges(self) -> dict[str, tuple[int, int]]:
        return {"small_images": (0, self.likelihood.max_value)}

    def _own_loss(self):
        if self._drawn_pixels is None:
            return super()._own_loss()
        return MaskedNegativeLogLikelihood(self.likelihood, self._drawn_pixels)

    def _own_metrics(self):
        return super()._own_metrics() if self._drawn_pixels is None else []

    def _check_together(self, images, conditions, owner):
        if self._drawn_pixels is None:
            return
        if not np.array_equal(subsampled(images, self.factors), conditions[0]):
            height, width = self.factors
            raise ValueError(
                f"`small_images` of {owner} must hold the top-left pixel of each cell "
                f"of {height}x{width} pixels, which is images[:, ::{height}, "
                f"::{width}]. Received: small images that differ from it"
            )

    def _known(self, images, known, conditions):
        if self._drawn_pixels is None:
            return images, known
        copied = ~self._drawn_pixels[..., None]
        small = np.repeat(conditions[0], self.factors[0], axis=1)
        small = np.repeat(small, self.factors[1], axis=2)
        if ((images != small) & (known > 0) & copied).any():
            height, width = self.factors
            raise ValueError(
                f"{self.name}.complete takes images[:, ::{height}, ::{width}] from "
                f"`small_images`, so known pixels there must be the same. Received: "
                f"known pixels that differ"
            )
        images = np.where(copied, small, images).astype("float32")
        return images, np.where(copied, 1, known).astype("float32")

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False, **options: Any
    ) -> dict[str, Endpoint]:
        """Raise, since a server has images of one range only.

        Args:
            image_shape: Not used.
            jit_compile: Not used.
            **options: Not used.

        Raises:
            ValueError: Always.
        """
        raise ValueError(
            f"{self.name} is one network of a MultiScalePixelRNN. Export the whole "
            f"model, whose signature `enlarge` draws large images of small ones. "
            f"Received: {type(self).__name__}"
        )

    def _sampler(self, method, jit_compile=False, **options):
        draw = super()._sampler(method, jit_compile, **options)
        if self._drawn_pixels is None:
            return draw
        copied = np.logical_not(self._drawn_pixels)[..., None]

        def draw_new(uniforms, temperature, conditions, images=None, known=None):
            small = tf.cast(placed(conditions[0], self.factors), tf.float32)
            if images is None:
                known = tf.broadcast_to(tf.cast(copied, tf.float32), tf.shape(small))
            else:
                small = tf.where(copied, small, images)
                known = tf.where(copied, 1.0, known)
            return draw(uniforms, temperature, conditions, small, known)

        return draw_new
