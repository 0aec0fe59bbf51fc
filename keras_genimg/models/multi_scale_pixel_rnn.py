"""Multi-Scale PixelRNN."""

import itertools
from collections.abc import Sequence
from typing import Any, Literal

import keras
import numpy as np
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.generation.samplers import Samplers
from keras_genimg.generation.scales import EnlargingScheme, ScalesScheme
from keras_genimg.inputs.calls import image_seeds
from keras_genimg.inputs.images import check_shape
from keras_genimg.keras_private import set_direction
from keras_genimg.losses.negative_log_likelihood import MaskedNegativeLogLikelihood
from keras_genimg.metrics import BitsPerDim
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.pixel_networks import (
    PixelNetwork,
    PixelRNN,
    recurrent_network,
)
from keras_genimg.networks.pixel_stacks import centered
from keras_genimg.ops.checks import (
    check_choice,
    check_image_shape,
    check_int,
    check_positive_int,
)
from keras_genimg.ops.configurable import arguments_of, own_arguments
from keras_genimg.ops.scales import (
    check_scales,
    factors_between,
    is_copied,
    packed,
    placed,
    reduced,
    scale_images,
    smallest_scales,
)
from keras_genimg.presets.settings import MULTI_SCALE_PIXEL_RNN
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.model_endpoints import enlarge_endpoint
from keras_genimg.types import (
    Config,
    Method,
    Policy,
    Seeds,
    Shape,
    SymbolicTensor,
    TensorLike,
    Verbose,
)


@keras.saving.register_keras_serializable(package="keras_genimg")
class Subsample(keras.layers.Layer):
    """Layer that keeps the top-left pixel of each cell, or the mean.

    Args:
        factors: Height and width of a cell in pixels.
        subsampling: `"top_left"` or `"box"`.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Input shape:
        `(batch, height, width, channels)`.

    Output shape:
        `(batch, height / factors[0], width / factors[1], channels)`.
    """

    def __init__(
        self, factors: tuple[int, int], subsampling: str = "top_left", **kwargs: Any
    ):
        super().__init__(**kwargs)
        self.factors = tuple(factors)
        self.subsampling = subsampling

    def call(self, inputs):
        return reduced(inputs, self.factors, self.subsampling)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, Subsample)}


@keras.saving.register_keras_serializable(package="keras_genimg")
class MergeScales(keras.layers.Layer):
    """Layer that replaces the copied pixels of a map by those of a smaller map.

    Args:
        factors: How many times higher and wider the large map is.
        **kwargs: Arguments of `keras.layers.Layer`, such as `name`.

    Call arguments:
        large: Map of shape `(batch, height, width, ...)`.
        small: Map of shape `(batch, height / factors[0], width / factors[1], ...)`.

    Output shape:
        That of `large`.
    """

    def __init__(self, factors: tuple[int, int], **kwargs: Any):
        super().__init__(**kwargs)
        self.factors = tuple(factors)

    def call(self, large, small):
        copied = is_copied(tuple(large.shape[1:3]), self.factors)
        copied = copied.reshape(1, *copied.shape, *[1] * (len(large.shape) - 3))
        return keras.ops.where(copied, placed(small, self.factors), large)

    def get_config(self) -> Config:
        return {**super().get_config(), "factors": self.factors}


@keras.saving.register_keras_serializable(package="keras_genimg")
class PackScales(keras.layers.Layer):
    """Layer that joins the maps of all scales to one map of width 1.

    Call arguments:
        maps: List of maps of shape `(batch, height, width, ...)`.

    Output shape:
        `(batch, pixels of all maps, 1, ...)`.
    """

    def call(self, maps):
        return packed(maps)


def upsampling_network(
    images: SymbolicTensor,
    factors: tuple[int, int],
    filters: int,
    likelihood: likelihoods.Likelihood,
    dtype: Policy | None = None,
) -> SymbolicTensor:
    """Return a condition map for images that are `factors` times as high and wide.

    Images are scaled to -1..1 and enlarged by transposed convolutions, with a ReLU
    after each. Each enlarges by a prime factor of the height, of the width, or of both.
    Pixels at the border of a cell see the neighboring small pixel too. The paper
    publishes neither number nor sizes of these convolutions.

    Args:
        images: Symbolic small images in the likelihood's own range,
            `(batch, height, width, colors)`.
        factors: How many times higher and wider the map is.
        filters: Channels of the map and of the maps in between; c in the paper.
        likelihood: `Likelihood` of the images.
        dtype: Dtype policy of the convolutions.

    Returns:
        Symbolic map, `(batch, height * factors[0], width * factors[1], filters)`.

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3.6 (Multi-Scale PixelRNN), https://arxiv.org/abs/1601.06759
    """
    x = centered(images, likelihood, name="center_small")
    steps = itertools.zip_longest(*map(_prime_factors, factors), fillvalue=1)
    for index, strides in enumerate(steps):
        x = keras.layers.Conv2DTranspose(
            filters,
            # With a kernel as large as the stride, a pixel would see one small pixel
            # only. One more row or column on each side lets neighbors overlap.
            tuple(stride + 2 for stride in strides),
            strides,
            padding="same",
            data_format="channels_last",
            activation="relu",
            name=f"upsampling_{index}",
            dtype=dtype,
        )(x)
    return x


def _prime_factors(number):
    """Return the prime factors of a number, the largest first."""
    for divisor in range(2, number + 1):
        if number % divisor == 0:
            return [*_prime_factors(number // divisor), divisor]
    return []


@keras.saving.register_keras_serializable(package="keras_genimg")
class EnlargingPixelRNN(PixelNetwork):
    """PixelRNN that generates an image given a smaller one.

    A network of transposed convolutions makes a map of the large size from the small
    image. This map is an input of every layer.

    If the small image holds the top-left pixel of each cell of the large one, these
    copied pixels are known: they are not sampled, their probability is 1, and they are
    not in the loss. If it holds the means of the cells, all pixels are sampled.

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
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
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
        2016, section 3.6 (Multi-Scale PixelRNN), https://arxiv.org/abs/1601.06759
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
        arguments = own_arguments(
            locals(), "small_size", "condition_filters", "subsampling"
        )
        owner = type(self).__name__
        image_shape = check_image_shape(image_shape, owner, any_size=True)
        likelihood = likelihoods.get(likelihood)
        scales = check_scales((small_size, image_shape[:2]), image_shape, owner)
        check_choice("subsampling", subsampling, ("top_left", "box"), owner)
        filters = check_positive_int("condition_filters", condition_filters, owner)
        factors = factors_between(*scales)
        size = *scales[0], image_shape[2]
        small = keras.Input(size, dtype="int32", name="small_images")
        enlarged = upsampling_network(small, factors, filters, likelihood, dtype)
        super().__init__(arguments, recurrent_network, ([small], enlarged), **kwargs)
        self._keep(
            small_size=scales[0], condition_filters=filters, subsampling=subsampling
        )
        self.condition_ranges = {"small_images": (0, self.likelihood.max_value)}
        self.factors = factors
        if subsampling == "top_left":
            scheme = EnlargingScheme(self, scales)
            self._samplers = Samplers(scheme, self._layer_version)

    def own_loss(self) -> keras.losses.Loss:
        if self.subsampling == "box":
            return super().own_loss()
        is_sampled = ~is_copied(self.image_shape[:2], self.factors)
        return MaskedNegativeLogLikelihood(self.likelihood, is_sampled)

    def own_metrics(self) -> list[keras.metrics.Metric]:
        return super().own_metrics() if self.subsampling == "box" else []

    def check_together(
        self, images: np.ndarray, conditions: list[np.ndarray], owner: str
    ) -> None:
        if self.subsampling == "box":
            return
        small = reduced(images, self.factors, "top_left")
        if not np.array_equal(small, conditions[0]):
            height, width = self.factors
            raise ValueError(
                f"`small_images` of {owner} must hold the top-left pixel of each cell "
                f"of {height}x{width} pixels, which is images[:, ::{height}, "
                f"::{width}]. Received: small images that differ from it"
            )

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
            f"model, whose signature `enlarge` generates large images from small ones. "
            f"Received: {type(self).__name__}"
        )


@keras.saving.register_keras_serializable(package="keras_genimg")
class MultiScalePixelRNN(AutoregressiveModel):
    """Multi-Scale PixelRNN: generates a small image and enlarges it, scale by scale.

    A PixelRNN generates the image of the smallest scale. At each larger scale, a
    conditional one samples the pixels that the scale before does not have. The smaller
    image `s[k - 1]` is the top-left pixel of each cell of `s[k]`, so

        log p(x) = log p(s[1]) + sum over k > 1 of the sum over pixels i of s[k] that
                   are not in s[k - 1] of log p(s[k][i] | s[k][<i], s[k - 1])

    and the probabilities of all images sum to 1. The model is autoregressive in an
    order that is not raster order: scales from small to large, and in each one its new
    pixels in raster order. `complete` samples in this order too: known pixels influence
    only those that come after them in it.

    With `subsampling="box"`, smaller images hold the rounded means of cells, and all
    pixels of all scales are sampled. The sum of the log-probabilities of the scales is
    then a lower bound of log p(x), since a generated image need not have the means that
    it was generated from. `log_prob` and the metrics are this bound, and `complete`
    does not work, since known pixels would not determine the smaller images.

    `fit` on images of the full size trains all scales together, and reports the nats of
    each scale, next to the loss, which is their sum. Each of `scale_models` can also be
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
        likelihood: `"bernoulli"`, `"categorical"`, `"logistic_mixture"` or an object.
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
        check_causality: Whether to check the networks before they train, compute a
            number or generate an image. True in new and loaded models; the value is
            not saved.
        sampling_method: Sampler that is used unless a call names another,
            `"incremental"`.

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
        2016, section 3.6, https://arxiv.org/abs/1601.06759. The paper publishes neither
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
        arguments = own_arguments(locals(), "image_shape", "scales")
        for_smallest = own_arguments(arguments, "condition_filters", "subsampling")
        owner = type(self).__name__
        image_shape = check_image_shape(image_shape, owner)
        scales = check_scales(scales, image_shape, owner)
        check_choice("subsampling", subsampling, ("top_left", "box"), owner)
        shapes = [(*scale, image_shape[2]) for scale in scales]
        names = [f"scale_{height}x{width}" for height, width in scales]
        models = [PixelRNN(shapes[0], name=names[0], **for_smallest)]
        for small, shape, name in zip(scales[:-1], shapes[1:], names[1:], strict=True):
            models.append(EnlargingPixelRNN(shape, small, name=name, **arguments))

        images = keras.Input(image_shape, name="images")
        parts = [images]
        for model, name in zip(models[:0:-1], names[-2::-1], strict=True):
            subsample = Subsample(
                model.factors, subsampling, name=f"images_{name}", dtype="float32"
            )
            parts.insert(0, subsample(parts[0]))
        outputs = [models[0](parts[0])]
        for model, *pair in zip(models[1:], parts[1:], parts[:-1], strict=True):
            outputs.append(model(pair))
        if subsampling == "top_left":
            params = outputs[0]
            for model, larger in zip(models[1:], outputs[1:], strict=True):
                name = f"merge_{model.name}"
                merge = MergeScales(model.factors, name=name, dtype="float32")
                params = merge(larger, params)
        else:
            params = PackScales(name="pack_scales", dtype="float32")(outputs)
        shape = (*params.shape[1:3], image_shape[2])
        super().__init__(
            images, params, likelihood, dtype=dtype, targets_shape=shape, **kwargs
        )
        self._keep(**arguments, scales=tuple(scales))
        self.scale_models = models
        schemes = [each.sampling_scheme for each in models]
        scheme = ScalesScheme(self, schemes)
        self._samplers = Samplers(scheme, self._layer_version)
        # For each scale but the last, they generate the larger scales from its images.
        self._enlarging = [
            Samplers(ScalesScheme(self, schemes, first), self._layer_version)
            for first in range(1, len(models))
        ]

    def at_scale(self, images: ArrayLike, index: int) -> Any:
        """Return the inputs that `scale_models[index]` is trained on.

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
        method: Method | None = None,
        jit_compile: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Generate large images of given small ones.

        Args:
            small_images: Images of any scale but the last, in the likelihood's own
                range, `(num_images, height, width, colors)`.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, see `generate`; affects the speed but not the images.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images to generate at once.
            verbose: See `generate`.

        Returns:
            NumPy array of images of the full size. The small ones are their top-left
            pixels, or about the means of their cells.

        Raises:
            ValueError: If an argument is not as described.
            RuntimeError: If it is called in a `tf.function`.
        """
        small_images = np.asarray(small_images)
        colors = self.image_shape[2]
        shapes = [(*scale, colors) for scale in self.scales[:-1]]
        shape = small_images.shape[1:]
        if shape not in shapes or len(small_images) == 0:
            raise ValueError(
                f"{self.name}.enlarge takes at least one image, in the shape "
                f"(num_images, height, width, {colors}), of a size among "
                f"{self.scales[:-1]}. Received: shape={small_images.shape}"
            )
        self.likelihood.check_images(small_images, f"{self.name}.enlarge")
        owner, num_images = "enlarge", len(small_images)
        batch_size = check_positive_int("batch_size", batch_size, owner)
        samplers = self._enlarging[shapes.index(shape)]
        at_once = min(num_images, batch_size)
        key = samplers.key(owner, method, None, jit_compile, at_once)
        inputs = [image_seeds(num_images, seed), small_images.astype("float32")]
        return samplers.run(key, temperature, inputs, batch_size, verbose, owner)

    def endpoints(
        self,
        image_shape: Shape,
        jit_compile: bool = False,
        method: Method | None = None,
        num_candidates: int = 1,
    ) -> dict[str, Endpoint]:
        """Return the functions that a server can call.

        Those of other autoregressive models, and `enlarge`, which generates images of
        the full size given those of the last scale but one. With box means, there is no
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
        enlarge = enlarge_endpoint(self, self._enlarging[-1], jit_compile, method)
        return {**endpoints, "enlarge": enlarge}

    def own_metrics(self) -> list[keras.metrics.Metric]:
        height, width, colors = self.image_shape
        bits = BitsPerDim(self.likelihood, num_dims=height * width * colors)
        if self.subsampling == "top_left":
            found_in = smallest_scales(self.scales)
        else:
            sizes = [rows * columns for rows, columns in self.scales]
            found_in = np.repeat(np.arange(len(sizes)), sizes)[:, None]
        metrics = [bits]
        for index, (rows, columns) in enumerate(self.scales):
            nats = MaskedNegativeLogLikelihood(
                self.likelihood, found_in == index, reduction=None
            )
            name = f"nats_{rows}x{columns}"
            metrics.append(keras.metrics.MeanMetricWrapper(nats, name))
            set_direction(metrics[-1], "down")
        return metrics

    def raster_models(self) -> Sequence[AutoregressiveModel]:
        return self.scale_models

    def targets_of(self, x: Any) -> TensorLike:
        images = super().targets_of(x)
        if self.subsampling == "top_left":
            return images
        return packed(scale_images(images, self.scales, "box"))

    def get_config(self) -> Config:
        return self._kept_config()
