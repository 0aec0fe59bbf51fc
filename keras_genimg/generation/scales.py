"""How a Multi-Scale PixelRNN generates images, scale by scale."""

from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
import tensorflow as tf

from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.generation.scheme import (
    NO_INSPECTION,
    Inspection,
    SampledModel,
    SamplingScheme,
)
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.scales import (
    factors_between,
    is_copied,
    placed,
    scale_images,
    scale_order,
    unpacked,
)
from keras_genimg.types import Array, Shape


class ModelOfScales(SampledModel, Protocol):
    """A model of images in several sizes, a `MultiScalePixelRNN`.

    Attributes:
        scales: `(height, width)` of each scale, from small to large.
        subsampling: What smaller images hold: `"top_left"` pixels, or means, `"box"`.
        scale_models: The model of each scale.
    """

    scales: tuple[tuple[int, int], ...]
    subsampling: Literal["top_left", "box"]
    scale_models: Sequence[PixelModel]


class EnlargingScheme(SamplingScheme):
    """Scheme in which pixels that a smaller image has are copied from it.

    Args:
        model: An `EnlargingPixelRNN` whose small images hold top-left pixels.
        scales: The sizes of the small and of the large image.
    """

    def __init__(self, model: SampledModel, scales: Sequence[tuple[int, int]]):
        super().__init__(model)
        self._factors = factors_between(*scales)
        self._copied = is_copied(scales[1], self._factors)[..., None]
        self.order = scale_order(scales)

    def sample_pixels(
        self,
        key: SamplerKey,
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[tf.Tensor],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
        inspection: Inspection = NO_INSPECTION,
    ) -> tf.Tensor:
        # To the sampler, copied pixels are known pixels of a completion.
        copied = self._copied
        small = tf.cast(placed(conditions[0], self._factors), tf.float32)
        images = small if images is None else tf.where(copied, small, images)
        known = tf.where(copied, 1.0, 0.0 if known is None else known)
        given = uniforms, temperature, conditions, images, known
        return super().sample_pixels(key, *given, inspection)

    def known(
        self, images: Array, known: Array, conditions: Sequence[Array]
    ) -> tuple[Array, Array]:
        copied = self._copied
        small = placed(conditions[0], self._factors).numpy()
        if ((images != small) & (known > 0) & copied).any():
            height, width = self._factors
            raise ValueError(
                f"{self.model.name}.complete takes images[:, ::{height}, ::{width}] "
                f"from `small_images`, so known pixels there must be the same. "
                f"Received: known pixels that differ"
            )
        images = np.where(copied, small, images).astype("float32")
        return images, np.where(copied, 1, known).astype("float32")


class ScalesScheme(SamplingScheme):
    """Scheme of one network a scale, from small to large.

    Args:
        model: A `MultiScalePixelRNN`.
        networks: The `SamplingScheme` of each scale.
        first: Index of the first scale to generate. If above 0, images of the scale
            before it are given, as the only condition.
    """

    model: ModelOfScales

    def __init__(
        self, model: ModelOfScales, networks: Sequence[SamplingScheme], first: int = 0
    ):
        super().__init__(model)
        self._top_left = model.subsampling == "top_left"
        self._networks, self._first = networks, first
        if self._top_left:
            self.order = scale_order(model.scales)

    def sample_pixels(
        self,
        key: SamplerKey,
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[tf.Tensor],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
        inspection: Inspection = NO_INSPECTION,
    ) -> tf.Tensor:
        """Return images of the last scale."""
        first = self._first
        parts = [self._at_scales(x)[first:] for x in (uniforms, images, known)]
        sampled = [conditions[0]] if first else []
        for network, *here in zip(self._networks[first:], *parts, strict=True):
            small = [tf.cast(smaller, tf.int32) for smaller in sampled[-1:]]
            given = here[0], temperature, small, *here[1:]
            sampled.append(network.sample_pixels(key, *given, inspection))
        return sampled[-1]

    def _at_scales(self, values: tf.Tensor | None):
        """Return the part of each scale in a map of all that is sampled, or None."""
        scales = self.model.scales
        if values is None:
            return [None] * len(scales)
        if self._top_left:
            return scale_images(values, scales, "top_left")
        return unpacked(values, scales)

    def networks(
        self, images: tf.Tensor, conditions: Sequence[tf.Tensor]
    ) -> list[tuple[PixelModel, tf.Tensor, Sequence[tf.Tensor]]]:
        parts = scale_images(images, self.model.scales, self.model.subsampling)
        smaller = [[], *([tf.cast(part, tf.int32)] for part in parts[:-1])]
        return list(zip(self.model.scale_models, parts, smaller, strict=True))

    def uniforms_shape(self, image_shape: Shape) -> Shape:
        if self._top_left:
            return image_shape
        return (sum(h * w for h, w in self.model.scales), 1, image_shape[2])

    def given_shapes(self, key: SamplerKey) -> list[Shape]:
        if self._first == 0:
            return super().given_shapes(key)
        return [(*self.model.scales[self._first - 1], key.image_shape[-1])]

    def known(
        self, images: Array, known: Array, conditions: Sequence[Array]
    ) -> tuple[Array, Array]:
        if not self._top_left:
            raise ValueError(
                f"{self.model.name}.complete needs smaller images that hold pixels of "
                f"the image, which are known if these are. Make the model with "
                f'subsampling="top_left". Received: a model with subsampling="box"'
            )
        return images, known
