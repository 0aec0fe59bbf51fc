"""How the images of a Multi-Scale PixelRNN are drawn, scale by scale."""

import numpy as np
import tensorflow as tf

from keras_genimg.drawing.drawer import Drawer
from keras_genimg.ops.scales import (
    is_copied,
    placed,
    scale_images,
    scale_order,
    unpacked,
)


class EnlargingDrawer(Drawer):
    """Draws the pixels of an image that a smaller one does not have.

    Args:
        model: An `EnlargingPixelRNN` whose small images hold top-left pixels.
        scales: The sizes of the small and of the large image.

    Attributes:
        drawn_pixels: Boolean map of the pixels that are drawn.
    """

    def __init__(self, model, scales):
        super().__init__(model)
        self._factors = model.factors
        self._copied = is_copied(scales[1], model.factors)[..., None]
        self.drawn_pixels = ~self._copied[..., 0]
        self.order = scale_order(scales)

    def sampler(self, method, jit_compile=False, **options):
        draw = super().sampler(method, jit_compile, **options)
        copied = self._copied

        def draw_new(uniforms, temperature, conditions, images=None, known=None):
            small = tf.cast(placed(conditions[0], self._factors), tf.float32)
            images = small if images is None else tf.where(copied, small, images)
            known = tf.where(copied, 1.0, 0.0 if known is None else known)
            return draw(uniforms, temperature, conditions, images, known)

        return draw_new

    def known(self, images, known, conditions):
        copied = self._copied
        small = placed(conditions[0], self._factors).numpy()
        if ((images != small) & (known > 0) & copied).any():
            height, width = self._factors
            raise ValueError(
                f"{self._model.name}.complete takes images[:, ::{height}, ::{width}] "
                f"from `small_images`, so known pixels there must be the same. "
                f"Received: known pixels that differ"
            )
        images = np.where(copied, small, images).astype("float32")
        return images, np.where(copied, 1, known).astype("float32")


class ScalesDrawer(Drawer):
    """Draws an image with one network a scale, from small to large.

    Args:
        model: A `MultiScalePixelRNN`.
    """

    def __init__(self, model):
        super().__init__(model)
        self._top_left = model.subsampling == "top_left"
        self._networks = [network._drawer for network in model.scale_models]
        if self._top_left:
            self.order = scale_order(model.scales)

    def sampler(self, method, jit_compile=False, first=0, **options):
        """Return a function that draws images.

        Args:
            method: See `keras_genimg.sampling.METHODS`.
            jit_compile: Whether to compile with XLA.
            first: Index of the first scale that is drawn. If above 0, the function
                takes images of the scale before it as the only condition.
            **options: Options of the sampler.
        """
        networks = self._networks[first:]
        draws = [each.sampler(method, jit_compile, **options) for each in networks]

        def draw(uniforms, temperature, conditions, images=None, known=None):
            parts = [self._at_scales(x)[first:] for x in (uniforms, images, known)]
            drawn = conditions[0] if first else None
            for draw_scale, *here in zip(draws, *parts, strict=True):
                small = [] if drawn is None else [tf.cast(drawn, tf.int32)]
                drawn = draw_scale(here[0], temperature, small, *here[1:])
            return drawn

        return draw

    def _at_scales(self, drawn):
        """Return the part of each scale in a map of all that is drawn, or None."""
        scales = self._model.scales
        if drawn is None:
            return [None] * len(scales)
        if self._top_left:
            return scale_images(drawn, scales, "top_left")
        return unpacked(drawn, scales)

    def networks(self, images, conditions):
        parts = scale_images(images, self._model.scales, self._model.subsampling)
        smaller = [[], *([tf.cast(part, tf.int32)] for part in parts[:-1])]
        return list(zip(self._model.scale_models, parts, smaller, strict=True))

    def shape(self, image_shape):
        if self._top_left:
            return image_shape
        return (sum(h * w for h, w in self._model.scales), 1, image_shape[2])

    def known(self, images, known, conditions):
        if not self._top_left:
            raise ValueError(
                f"{self._model.name}.complete needs smaller images that hold pixels of "
                f"the image, which are known if these are. Make the model with "
                f'subsampling="top_left". Received: a model with subsampling="box"'
            )
        return images, known
