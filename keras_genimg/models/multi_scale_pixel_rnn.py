"""Multi-Scale PixelRNN."""

from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.inputs.calls import draw_images
from keras_genimg.inputs.images import check_shape
from keras_genimg.inputs.seeds import image_seeds
from keras_genimg.metrics import BitsPerDim
from keras_genimg.metrics.masked_nats import MaskedNats
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.enlarging_pixel_rnn import EnlargingPixelRNN
from keras_genimg.models.pixel_rnn import PixelRNN
from keras_genimg.networks.scale_layers import MergeScales, PackScales, Subsample
from keras_genimg.ops.checks import (
    check_choice,
    check_image_shape,
    check_int,
    check_temperature,
)
from keras_genimg.ops.scales import (
    check_scales,
    factors_between,
    packed,
    scale_images,
    scale_order,
    smallest_scales,
    unpacked,
)
from keras_genimg.presets.settings import MULTI_SCALE_PIXEL_RNN
from keras_genimg.sampling import METHODS
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.scale_endpoints import enlarge_endpoint, enlarger
from keras_genimg.types import Config, Method, Policy, Seeds, Shape, Verbose


@keras.saving.register_keras_serializable(package="keras_genimg")
class MultiScalePixelRNN(AutoregressiveModel):
    """Multi-Scale PixelRNN: draws a small image and enlarges it, scale by scale.

    A PixelRNN draws the image of the smallest scale. At each larger scale, a
    conditional one draws the pixels that the scale before does not have. The smaller
    image `s[k - 1]` is the top-left pixel of each cell of `s[k]`, so

        log p(x) = log p(s[1]) + sum over k > 1 of the sum over pixels i of s[k] that
                   are not in s[k - 1] of log p(s[k][i] | s[k][<i], s[k - 1])

    and the probabilities of all images sum to 1. The model is autoregressive in an
    order that is not raster order: scales from small to large, and in each one its new
    pixels in raster order. `complete` draws in this order too: known pixels influence
    those that come after them in it.

    With `subsampling="box"`, smaller images hold the rounded means of cells, and all
    pixels of all scales are drawn. The sum of the log-probabilities of the scales is
    then a lower bound of log p(x), since a drawn image need not have the means that it
    was drawn from. `log_prob` and the metrics are this bound, and `complete` does not
    work, since known pixels would not determine the smaller images.

    `fit` on images of the full size trains all scales together, and reports the nats of
    each scale beside the loss, which is their sum. Each of `scale_models` can also be
    trained alone, on `at_scale`.

    Args:
        image_shape: `(height, width, colors)`.
        scales: At least two sizes from small to large, each an integer for a square or
            `(height, width)`, and a multiple of the one before. The last is the size of
            the image.
        units: Units of an LSTM layer, at least `colors`.
        num_layers: Number of LSTM layers of each scale.
        layer: `"diagonal"` or `"row"`.
        head_filters: Channels of the heads.
        likelihood: `"bernoulli"`, `"categorical"` or an object.
        kernel_size: Odd kernel width of a Row LSTM in pixels; not used by diagonal
            layers.
        first_kernel_size: Odd size of the first convolutions in pixels.
        num_head_layers: Number of 1×1 convolutions in a head.
        residual: Whether the layers are in residual blocks.
        skip: Whether every layer is connected to the head.
        condition_filters: Channels of the maps that are made of smaller images; c in
            the paper.
        subsampling: What smaller images hold: `"top_left"` for the top-left pixel of
            each cell, or `"box"` for its rounded mean.
        dtype: Dtype policy of the layers; the likelihood's parameters are float32.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        scale_models: One autoregressive model for each scale, from small to large: a
            `PixelRNN`, then conditional ones, with the inputs `"images"` and
            `"small_images"`.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`.

    Output shape:
        Parameters of the likelihood, float32, of its `params_shape` after the batch.
        Those of a pixel come from the smallest scale that has it. With box means, they
        are those of a map of width 1 that has all pixels of all scales, from small to
        large.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> model = MultiScalePixelRNN((8, 8, 1), (4, 8), units=16, num_layers=2)
        >>> model.compile("adam")
        >>> history = model.fit(images, epochs=10)
        >>> large = model.enlarge(images[:4, ::2, ::2], seed=0)

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.4, https://arxiv.org/abs/1601.06759. The paper publishes neither
        the sizes of the networks nor the likelihood of the whole model.
    """

    presets = MULTI_SCALE_PIXEL_RNN

    def __init__(
        self,
        image_shape: Shape,
        scales: Sequence[int | Sequence[int]],
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
        image_shape = check_image_shape(image_shape, owner)
        scales = check_scales(scales, image_shape, owner)
        likelihood = likelihoods.get(likelihood)
        check_choice("subsampling", subsampling, ("top_left", "box"), owner)
        network = {
            "units": units,
            "num_layers": num_layers,
            "layer": layer,
            "head_filters": head_filters,
            "kernel_size": kernel_size,
            "first_kernel_size": first_kernel_size,
            "num_head_layers": num_head_layers,
            "residual": residual,
            "skip": skip,
        }
        shapes = [(*scale, image_shape[2]) for scale in scales]
        names = [f"scale_{height}x{width}" for height, width in scales]
        common = {"likelihood": likelihood, "dtype": dtype, **network}
        models = [PixelRNN(shapes[0], name=names[0], **common)]
        for small, shape, name in zip(scales[:-1], shapes[1:], names[1:], strict=True):
            model = EnlargingPixelRNN(
                shape,
                small,
                name=name,
                condition_filters=condition_filters,
                subsampling=subsampling,
                **common,
            )
            models.append(model)

        images = keras.Input(image_shape, name="images")
        parts = [images]
        for index in reversed(range(1, len(scales))):
            factors = factors_between(scales[index - 1], scales[index])
            subsample = Subsample(
                factors,
                subsampling,
                name=f"images_{names[index - 1]}",
                dtype="float32",
            )
            parts.insert(0, subsample(parts[0]))
        outputs = [models[0](parts[0])]
        for index in range(1, len(scales)):
            outputs.append(models[index]([parts[index], parts[index - 1]]))
        targets_shape = None
        if subsampling == "top_left":
            params = outputs[0]
            for index in range(1, len(scales)):
                factors = factors_between(scales[index - 1], scales[index])
                layer_name = f"merge_{names[index]}"
                merge = MergeScales(factors, name=layer_name, dtype="float32")
                params = merge(outputs[index], params)
        else:
            params = PackScales(name="pack_scales", dtype="float32")(outputs)
            targets_shape = (params.shape[1], 1, image_shape[2])
        super().__init__(
            images,
            params,
            likelihood,
            dtype=dtype,
            targets_shape=targets_shape,
            **kwargs,
        )
        self.scales = tuple(scales)
        self.subsampling = subsampling
        self.scale_models = models
        self._arguments = {**network, "condition_filters": condition_filters}
        if subsampling == "top_left":
            self._pixel_order = scale_order(scales)

    def at_scale(self, images: ArrayLike, index: int) -> Any:
        """Return what `scale_models[index]` is trained on.

        Args:
            images: Images of the full size, `(num_images, height, width, colors)`.
            index: Index of the scale, 0 for the smallest.

        Returns:
            Images of the smallest scale; for the others, a dict of `"images"` and
            `"small_images"`.

        Raises:
            ValueError: If there is no such scale, or images have another size.
        """
        owner = f"{self.name}.at_scale"
        check_int("index", index, owner, 0, len(self.scales) - 1)
        check_shape(np.shape(images), self, owner)
        parts = scale_images(np.asarray(images), self.scales, self.subsampling)
        if index == 0:
            return parts[0]
        return {"images": parts[index], "small_images": parts[index - 1]}

    def enlarge(
        self,
        small_images: ArrayLike,
        *,
        seed: Seeds | None = None,
        temperature: float = 1.0,
        method: Method = "incremental",
        jit_compile: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw large images of given small ones.

        Args:
            small_images: Images of any scale but the last, in the likelihood's own
                range, `(num_images, height, width, colors)`.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, see `generate`; affects the speed but not the images.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images to draw at once.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of images of the full size. The small ones are their top-left
            pixels, or about the means of their cells.

        Raises:
            ValueError: If an argument is not as described.
        """
        small_images = np.asarray(small_images)
        size = small_images.shape[1:3]
        colors = self.image_shape[2]
        fits = small_images.ndim == 4 and small_images.shape[3] == colors
        if not fits or size not in self.scales[:-1] or len(small_images) == 0:
            raise ValueError(
                f"{self.name}.enlarge takes at least one image, in the shape "
                f"(num_images, height, width, {colors}), of a size among "
                f"{self.scales[:-1]}. Received: shape={small_images.shape}"
            )
        self.likelihood.check_images(small_images, f"{self.name}.enlarge")
        check_choice("method", method, tuple(METHODS), "enlarge")
        index = self.scales.index(size)
        draw = self._function_cache.get(
            self,
            ("enlarge", index, method, jit_compile),
            lambda: enlarger(self, index, method, jit_compile),
        )
        check_temperature(temperature)
        self._check_causal(self.image_shape)
        if self.check_causality:
            self._prove(self._traced_sampler(method, self.image_shape, jit_compile))
        divisor = tf.constant(temperature, tf.float32)
        seeds = image_seeds(len(small_images), seed)
        return draw_images(
            self,
            lambda seeds, small: draw(seeds, divisor, small),
            [seeds, small_images.astype("float32")],
            batch_size,
            verbose,
            "enlarge",
        )

    def endpoints(
        self,
        image_shape: Shape,
        jit_compile: bool = False,
        method: Method = "incremental",
        num_candidates: int = 1,
    ) -> dict[str, Endpoint]:
        """Return the functions that a server can call.

        Those of other autoregressive models, and `enlarge`, which draws images of the
        full size given those of the last scale but one. With box means, there is no
        `complete`.

        Args:
            image_shape: `(height, width, colors)`.
            jit_compile: Whether to compile with XLA.
            method: `"incremental"`, `"fixed_point"` or `"ancestral"`, see `generate`.
            num_candidates: Number of completions among which `complete` chooses.

        Returns:
            Dict of `keras_genimg.serving.Endpoint` by signature name.

        Raises:
            ValueError: If an argument is not as described, a network is not causal, or
                the sampler and a network disagree.
        """
        endpoints = super().endpoints(image_shape, jit_compile, method, num_candidates)
        if self.subsampling == "box":
            del endpoints["complete"]
        return {**endpoints, "enlarge": enlarge_endpoint(self, jit_compile, method)}

    def _known(self, images, known, conditions):
        if self.subsampling == "box":
            raise ValueError(
                f"{self.name}.complete needs smaller images that hold pixels of the "
                f"image, which are known if these are. Make the model with "
                f'subsampling="top_left". Received: a model with subsampling="box"'
            )
        return images, known

    def _own_metrics(self):
        height, width, colors = self.image_shape
        bits = BitsPerDim(self.likelihood, num_dims=height * width * colors)
        if self.subsampling == "top_left":
            found_in = smallest_scales(self.scales)
        else:
            sizes = [rows * columns for rows, columns in self.scales]
            found_in = np.repeat(np.arange(len(sizes)), sizes)[:, None]
        nats = [
            MaskedNats(self.likelihood, found_in == index, f"nats_{rows}x{columns}")
            for index, (rows, columns) in enumerate(self.scales)
        ]
        return [bits, *nats]

    def _sampler(self, method, jit_compile=False, **options):
        draws = [m._sampler(method, jit_compile, **options) for m in self.scale_models]

        def draw(uniforms, temperature, _, images=None, known=None):
            parts = [self._at_scales(x) for x in (uniforms, images, known)]
            drawn = None
            for draw_scale, *here in zip(draws, *parts, strict=True):
                small = [] if drawn is None else [tf.cast(drawn, tf.int32)]
                drawn = draw_scale(here[0], temperature, small, *here[1:])
            return drawn

        return draw

    def _check_causal(self, image_shape):
        # The order of a scale is its own, so each network is checked by itself.
        if self.check_causality:
            for network in self.scale_models:
                network._check_causal(network.image_shape)

    def _at_scales(self, drawn):
        """Return the part of each scale in a map of all that is drawn, or None."""
        if drawn is None:
            return [None] * len(self.scales)
        if self.subsampling == "top_left":
            return scale_images(drawn, self.scales, "top_left")
        return unpacked(drawn, self.scales)

    def _drawn(self, images):
        if self.subsampling == "top_left":
            return images
        return packed(scale_images(images, self.scales, "box"))

    def _drawn_shape(self, image_shape):
        if self.subsampling == "top_left":
            return image_shape
        return (sum(h * w for h, w in self.scales), 1, image_shape[2])

    def _networks(self, images, conditions):
        parts = scale_images(images, self.scales, self.subsampling)
        smaller = [[], *([tf.cast(part, tf.int32)] for part in parts[:-1])]
        return list(zip(self.scale_models, parts, smaller, strict=True))

    def _num_passes(self, image_shape):
        return sum(model._num_passes(model.image_shape) for model in self.scale_models)

    def get_config(self) -> Config:
        return {
            **self._base_config(),
            "image_shape": self.image_shape,
            "scales": self.scales,
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "subsampling": self.subsampling,
            **self._arguments,
        }
