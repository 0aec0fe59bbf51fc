"""Influences of pixels on others: by changing each, or by gradients."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.causality.image_pairs import other_values
from keras_genimg.causality.leak import effect_of, name_sub_pixel, worst_leak
from keras_genimg.causality.probing import raster_models
from keras_genimg.causality.random_weights import random_values, random_weights
from keras_genimg.inputs.images import (
    check_shape,
    condition_arrays,
    sized_image_shape,
)
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.types import Conditions, Shape


def influence(
    model: keras.Model,
    images: ArrayLike | None = None,
    seed: int = 0,
    num_images: int = 3,
    image_size: Shape | None = None,
    conditions: Conditions | None = None,
    randomize: bool = False,
    batch_size: int = 64,
) -> np.ndarray:
    """Find which sub-pixels change the parameters of which others.

    Each sub-pixel of some images is changed in turn. The changed image is compared with
    the unchanged one at the same position of a batch of the same size, where all
    arithmetic is identical to the last bit. Any difference is therefore an influence
    and never rounding. Influences too small for float32 are not detected, which can
    happen in a recurrent layer over more than a dozen rows of pixels. If an influence
    seems to be missing, try a smaller image or more images.

    Args:
        model: An `AutoregressiveModel`.
        images: Images to change, in the likelihood's own range, `(images, height,
            width, colors)`. Random by default. An influence that is hidden in one
            image, for example by an inactive ReLU, may show in another.
        seed: Seed of the random images, changes and weights.
        num_images: Number of random images.
        image_size: `(height, width)` of random images, for a model of any size.
        conditions: The model's further inputs, with one element per image: a dict of
            arrays by input name, or an array if there is only one such input.
        randomize: Whether to check the graph instead of the model's weights. Each image
            is evaluated with new random weights, biases and initial states. The model's
            own are neither read nor written.
        batch_size: Number of images to evaluate at a time.

    Returns:
        Boolean array of shape `(height, width, colors, height, width, colors)`. The
        first three axes index the changed sub-pixel, and the last three the sub-pixel
        whose parameters change for at least one of the images. If the likelihood
        couples the colors of a pixel, `(height, width, height, width)`: whether
        changing any color of a pixel changes the parameters of another.

    Raises:
        ValueError: If an argument is invalid, or the model returns numbers that are not
            finite.

    Example:
        >>> seen = influence(PixelCNN((4, 5, 1), 8, 2), randomize=True)
        >>> seen[0, 0, 0, 0].astype(int).tolist()
        [[0], [1], [1], [1], [1]]

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, sections 2 and 3.4, https://arxiv.org/abs/1601.06759
    """
    if raster_models(model) != [model]:
        raise ValueError(
            f"influence needs a model that draws in raster order: pass each of the "
            f"`scale_models` of {model.name}. Received: {type(model).__name__}"
        )
    check_positive_int("batch_size", batch_size, "influence")
    generator = np.random.default_rng(seed)
    num_values = model.likelihood.num_values
    if images is None:
        check_positive_int("num_images", num_images, "influence")
        shape = sized_image_shape(model, image_size, "influence")
        images = generator.integers(num_values, size=(num_images, *shape))
    images = np.asarray(images)
    check_shape(images.shape, model, "influence")
    model.likelihood.check_images(images, "influence")
    images = images.astype("int64")  # Bytes and booleans cannot hold a sum.
    if images.size == 0:
        raise ValueError(f"influence received no images: shape={images.shape}")
    conditions = condition_arrays(model, conditions, len(images), images.shape[1:])

    @tf.function(autograph=False)
    def params(weights, batch, conditions):
        pairs = list(zip(model.weights, weights, strict=True))
        with keras.StatelessScope(state_mapping=pairs):
            return forward_pass(model, batch, conditions)

    units = model.likelihood.unit_shape(images.shape[1:])
    num_units = math.prod(units)
    seen = np.zeros((images[0].size, num_units), bool)
    for image, *given in zip(images, *conditions, strict=True):
        others = other_values(generator, image, num_values)
        values = [weight.value for weight in model.weights]
        if randomize:
            values = [x for _, x in random_values(model, generator.integers(2**31))]
        compute = functools.partial(params, values)
        seen |= _influence_in_image(model, compute, image, others, given, batch_size)
    # The sub-pixels of a unit count together.
    seen = seen.reshape(num_units, -1, num_units).any(axis=1)
    return seen.reshape(*units, *units)


def _influence_in_image(model, params, image, others, conditions, batch_size):
    """Return which sub-pixels of an image change which parameters.

    Args:
        model: An `AutoregressiveModel`.
        params: The model as a function of a batch and a list of conditions.
        image: `(height, width, colors)`.
        others: The new value of each sub-pixel, with the shape of `image`.
        conditions: List of one array per condition.
        batch_size: Number of images to evaluate at a time.

    Returns:
        Boolean array of shape `(sub-pixels, units)`.
    """
    places = np.arange(min(batch_size, image.size))
    same, *conditions = (
        np.repeat(values[None], len(places), axis=0) for values in (image, *conditions)
    )
    conditions = [tf.constant(values) for values in conditions]
    num_units = math.prod(model.likelihood.unit_shape(image.shape))

    def evaluate(batch):
        values = params(tf.constant(batch), conditions).numpy()
        if not np.isfinite(values).all():
            raise ValueError(f"{model.name} returned numbers that are not finite.")
        return values.reshape(len(batch), num_units, -1)

    before = evaluate(same)
    seen = np.zeros((image.size, num_units), bool)
    for start in range(0, image.size, len(places)):
        sub_pixels = (start + places) % image.size  # The last batch is full, too.
        changed = same.copy()
        changed.reshape(len(places), -1)[places, sub_pixels] = others.flat[sub_pixels]
        seen[sub_pixels] = (evaluate(changed) != before).any(axis=-1)
    return seen


@dataclasses.dataclass(frozen=True, eq=False)
class CausalityReport:
    """Influences of earlier on later sub-pixels in a causal model.

    Attributes:
        num_past: Number of possible influences, which is the number of pairs of an
            earlier and a later sub-pixel; of pixels, where the likelihood couples the
            colors of a pixel.
        num_seen: Number of these influences that the model has.
        missing: Influences that the model lacks, integers of shape `(pairs, 6)`: row,
            column and color of the earlier sub-pixel, then of the later one; or of
            pixels, `(pairs, 4)`.
    """

    num_past: int
    num_seen: int
    missing: np.ndarray

    @property
    def complete(self) -> bool:
        """Whether every sub-pixel sees all of its past."""
        return len(self.missing) == 0

    def __str__(self) -> str:
        earlier, later = np.split(self.missing, 2, axis=1)
        kind = "sub-pixel" if earlier.shape[1] == 3 else "pixel"
        text = (
            f"Causal: no {kind} sees itself or a later one. "
            f"{self.num_seen} of {self.num_past} possible influences are present"
        )
        if self.complete:
            return f"{text}: complete."
        return (
            f"{text}, {len(self.missing)} are missing: for example, "
            f"{_unit(earlier[0])} does not change the parameters of "
            f"{name_sub_pixel(later[0])}."
        )


def assert_causal(
    model: keras.Model, complete: bool = False, **options: Any
) -> CausalityReport:
    """Check that no sub-pixel of a model sees itself or a later one.

    Sub-pixels are ordered as they are drawn: row by row, and within a pixel color by
    color, or all colors together where the likelihood couples them.

    Args:
        model: An `AutoregressiveModel`.
        complete: Whether every sub-pixel must also see its whole past.
        **options: Keyword arguments of `influence`: `images` to change (random by
            default), `seed` and `num_images` of random images, `image_size` as
            `(height, width)` for a model of any size, `conditions` with one element per
            image, `randomize`, and the `batch_size` of the evaluation. With
            `randomize=True`, the check is of the graph, under random weights.
            Otherwise it is of the model with its weights, where zero biases and dead
            ReLUs can hide influences.

    Returns:
        A `CausalityReport` of the influences on later sub-pixels.

    Raises:
        AssertionError: If the model is not causal or, with `complete`, not complete.
        ValueError: If an option is invalid, or the model returns numbers that are not
            finite.

    Example:
        >>> images = keras.Input((5, 5, 1))
        >>> x = MaskedConv2D(8, 3, mask_type="A", activation="relu")(images)
        >>> logits = MaskedConv2D(1, 1, mask_type="B")(x)
        >>> model = AutoregressiveModel(images, logits, "bernoulli")
        >>> print(assert_causal(model, randomize=True))
        Causal: no sub-pixel sees itself or a later one. 72 of 300 possible
        influences are present, 228 are missing: ...
    """
    seen = influence(model, **options)
    units = seen.shape[: seen.ndim // 2]
    size = math.prod(units)
    past = np.triu(np.ones((size, size), bool), 1).reshape(seen.shape)
    leaks = np.nonzero((seen & ~past).reshape(size, size))
    if len(leaks[0]):
        leak = worst_leak(*leaks, units)
        raise AssertionError(
            f"{model.name} is not causal. Changing {_unit(leak.changed)} "
            f"{effect_of(leak)} Number of such pairs: {len(leaks[0])}."
        )
    missing = np.argwhere(past & ~seen)
    report = CausalityReport(int(past.sum()), int(past.sum()) - len(missing), missing)
    if complete and not report.complete:
        raise AssertionError(f"{model.name} is not complete. {report}")
    return report


def _unit(place):
    kind = "sub-pixel" if len(place) == 3 else "pixel"
    return f"{kind} {name_sub_pixel(place)}"


def dependency_field(
    model: keras.Model,
    pixel: Sequence[int],
    image_size: Shape | None = None,
    seed: int = 0,
    num_draws: int = 4,
) -> np.ndarray:
    """Return the pixels that can influence a model's output at one pixel.

    The field depends on the graph, not on the weights. A pixel belongs to it if the
    gradient of the output with respect to that pixel is not exactly 0 in one of several
    draws of random weights and inputs. The weights of the model are not changed. Other
    inputs of the model are zeros.

    Args:
        model: A functional `keras.Model` from maps `(batch, height, width, channels)`
            to maps of the same height and width: an `AutoregressiveModel`, or
            `keras.Model(inputs, layer(inputs))` for one layer.
        pixel: `(row, column)` of the output.
        image_size: `(height, width)`, for a model of any size.
        seed: Seed of the random weights and inputs.
        num_draws: Number of draws. In a single one, dead ReLUs can hide an influence.

    Returns:
        Boolean array of shape `(height, width)`: whether any channel of the pixel has
        an influence.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> inputs = keras.Input((5, 5, 1))
        >>> model = keras.Model(inputs, RowLSTM(8)(inputs))
        >>> dependency_field(model, (2, 2)).astype(int)
        array([[1, 1, 1, 1, 1],
               [1, 1, 1, 1, 0],
               [0, 1, 1, 0, 0],
               [0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0]])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 2 and section 3, https://arxiv.org/abs/1601.06759
    """
    inputs = getattr(model, "inputs", None)
    if not isinstance(model, keras.Model) or not inputs or len(inputs[0].shape) != 4:
        raise ValueError(
            f"`model` must be a functional keras.Model that takes maps of shape "
            f"(batch, height, width, channels), such as keras.Model(inputs, "
            f"layer(inputs)). Received: {model!r}"
        )
    shape = sized_image_shape(model, image_size, "dependency_field")
    check_pixel(pixel, shape[:2])
    check_positive_int("num_draws", num_draws, "dependency_field")
    generator = np.random.default_rng(seed)
    conditions = [tf.zeros([n or 1 for n in x.shape], x.dtype) for x in inputs[1:]]
    field = np.zeros(shape[:2], bool)
    for _ in range(num_draws):
        image = tf.constant(generator.normal(size=(1, *shape)), inputs[0].dtype)
        weights = random_weights(model, generator.integers(2**31))
        with weights, tf.GradientTape() as tape:
            tape.watch(image)
            outputs = forward_pass(model, image, conditions)
            if len(outputs.shape) < 4 or outputs.shape[1:3] != shape[:2]:
                raise ValueError(
                    f"`model` must return a map of the height and width of its input, "
                    f"{(1, *shape)}. Received: outputs of shape "
                    f"{tuple(outputs.shape)}"
                )
            outputs = outputs[0, pixel[0], pixel[1]]
            # Random factors, so that influences do not cancel. A layer may read weights
            # for its gradient, too.
            factors = tf.constant(generator.normal(size=outputs.shape), outputs.dtype)
            gradient = tape.gradient(outputs, image, factors, "zero").numpy()
        field |= (gradient[0] != 0).any(axis=-1)
    return field


def check_pixel(pixel, size):
    """Raise unless `pixel` is `(row, column)` inside a map of `(height, width)`."""
    fits = len(pixel) == 2 and 0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1]
    if not fits:
        raise ValueError(
            f"`pixel` must be (row, column) inside a map of {size[0]} rows and "
            f"{size[1]} columns. Received: pixel={pixel}"
        )
