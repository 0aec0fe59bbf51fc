"""Check that the parameters of a sub-pixel depend on earlier ones alone."""

import dataclasses
import warnings
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.changes import (
    changes_between,
    leaks_between,
    params_of,
    some_of,
)
from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.leak import Leak, worst_leak
from keras_genimg.causality.random_weights import (
    Weights,
    jittered_values,
    random_values,
)
from keras_genimg.causality.training_leak import training_leak
from keras_genimg.inputs.calls import cost_of_image
from keras_genimg.inputs.images import condition_arrays
from keras_genimg.model_types import (
    FunctionalModel,
    HasRasterModels,
    ImageModel,
    PixelModel,
)
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.graphs import shared_eager_traces
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.types import Array, Conditions, Shape

# A leak must exceed the difference between two runs by this factor.
_NOISE_FACTOR = 10
# An image alone and in a batch may differ by this fraction of the largest parameter,
# and by more with quantized layers, or in half precision that has no twin in float32.
_BATCH_TOLERANCE = 1e-3
_COARSE_BATCH_TOLERANCE = 0.05
# Two runs on a GPU may differ by this fraction of the largest parameter.
_GPU_NOISE = 1e-5
# A check takes over 15 seconds of two CPU cores if a forward pass has more operations.
_ANNOUNCED = 4e10
# A model of any size is checked with images of this height and width.
_SIZE = 8


def announce_check(model: ImageModel, image_shape: Sequence[int | None]) -> None:
    """Say that a model is checked, if that may take long."""
    if cost_of_image(model, [size or 1 for size in image_shape]) > _ANNOUNCED:
        text = f"{model.name}: the graph is checked once, which may take a minute."
        print(text, flush=True)


def check_causal(
    model: PixelModel, image_shape: Sequence[int | None], training: bool = False
) -> None:
    """Raise an error unless a model is causal, see `first_leak`.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, with None for unknown sizes.
        training: Whether to check the forward pass of training instead.

    Raises:
        ValueError: If the model is not causal. The error names the layer, if found.
    """
    # A check of training follows one of inference, which was announced already.
    if not training:
        announce_check(model, image_shape)
    try:
        leak = first_leak(model, image_shape, training)
    except Exception as error:  # For example, the guessed conditions were invalid.
        warnings.warn(
            f"Could not check whether {model.name} is causal: it fails on random "
            f"images and conditions ({type(error).__name__}). Check it with "
            f"keras_genimg.causality.first_leak(model, image_shape, conditions=...), "
            f"then set `check_causality = False` on the model.",
            stacklevel=2,
        )
        return
    if leak is None:
        return
    fault = "is not causal, so"
    result = "it learns to copy pixels that are not available during generation"
    if leak.kind in ("batch", "call"):
        result = "no image of it can be reproduced"
    if leak.kind == "call":
        fault = "does not compute the same twice, so no number and"
    raise ValueError(
        f"{model.name} {fault} {result}. {leak} If this is intended, "
        f"`check_causality = False` on the model turns the check off, except for "
        f"exports with the incremental sampler."
    )


def is_causal(
    model: PixelModel, image_shape: Sequence[int | None] | None = None
) -> bool:
    """Return whether no sub-pixel is found to see itself or a later one.

    The check is that of `first_leak`, which also describes the leak.

    Args:
        model: An `AutoregressiveModel` or a `MultiScalePixelRNN`.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.

    Returns:
        True if no leak is found. False if there is one or if the graph cannot be
        evaluated.

    Raises:
        ValueError: If `model` is another model.
    """
    _raster_models(model)
    try:
        return first_leak(model, image_shape) is None
    except Exception:
        return False


def first_leak(
    model: PixelModel,
    image_shape: Sequence[int | None] | None = None,
    training: bool = False,
    conditions: Conditions | None = None,
) -> Leak | None:
    """Find a sub-pixel that sees itself or a later one, or another image.

    The graph is checked under random weights, so that a weight of zero hides nothing,
    and under those of the model with some noise, which are not written. Half precision
    is replaced by float32.

    Random images are each changed from a different sub-pixel on. The parameters of that
    sub-pixel and of all earlier ones must stay the same. One image is not changed, and
    its parameters must stay the same although the others of its batch are. The check
    compares values, not gradients, so it detects integer look-ups. Parameters that are
    not finite are ignored. Two forward passes of the same images must give the same
    parameters, to the last bit on a CPU.

    A change counts if it exceeds 1e-5 of the largest change. It may still be rounding.
    The original and the changed images are then evaluated again, at the same places of
    two batches, and the originals once more, on the CPU. The change must also exceed
    ten times the difference between two runs of the originals.

    Args:
        model: An `AutoregressiveModel`. The networks of a `MultiScalePixelRNN` are
            checked one by one.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.
        training: Whether to check the forward pass of training instead, with the same
            noise before and after the change. Layers such as
            `keras.layers.RandomTranslation` act in training only. What images pass to
            each other through the statistics of a batch is no leak, but a warning
            names the layers.
        conditions: The model's further inputs, with one element for each of some
            images: a dict of arrays by input name, or an array if there is only one
            such input. Random by default. Only for a model with a single network.

    Returns:
        A `Leak`, or None. `str(leak)` says what is wrong, where, and how to fix it.

    Raises:
        ValueError: If `model` is another model, or the conditions do not fit.
        Exception: Any error of the graph. Random conditions are guesses: unknown sizes
            are those of the images, and integers of unknown range are 0 or 1, or 0
            alone if the graph fails on 1.

    Example:
        >>> images = keras.Input((8, 8, 1))
        >>> x = MaskedConv2D(8, 3, mask_type="A")(images)
        >>> x = keras.layers.Conv2D(8, 3, padding="same")(x)
        >>> model = AutoregressiveModel(images, MaskedConv2D(1, 1, mask_type="B")(x))
        >>> first_leak(model).layer
        "Conv2D 'conv2d'"

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, sections 2 and 3.4, https://arxiv.org/abs/1601.06759
    """
    networks = _raster_models(model)
    shape = tuple(size or _SIZE for size in image_shape or model.image_shape)
    if conditions is not None:
        conditions = _given_conditions(model, networks, conditions, shape)
    if networks != [model]:
        leaks = (first_leak(network, training=training) for network in networks)
        return next(filter(None, leaks), None)
    # The check runs eagerly, even while the caller is being traced. It runs a few times
    # only, so nothing but long loops is worth a trace.
    with tf.init_scope(), shared_eager_traces(shape[0]):
        pairs = ImagePairs(model, shape, conditions)
        if has_half_precision(model):
            model = in_float32(model) or model
        if training:
            # Two runs on a GPU need not give the same bits, which this check compares.
            with tf.device("CPU"):
                return training_leak(model, pairs)
        leak = _leak_under(random_values(model), model, pairs)
        if leak is not None:
            return leak
        # Random weights may hide a layer, for example behind a minimum.
        own = jittered_values(model)
        if not _shows_leak(own, model, pairs):
            return None
        return _leak_under(own, model, pairs)


def _given_conditions(
    model: PixelModel,
    networks: Sequence[PixelModel],
    conditions: Conditions,
    image_shape: Shape,
) -> list[Array]:
    """Return the conditions that a user gave as arrays, with at least one element."""
    if networks != [model]:
        raise ValueError(
            f"`conditions` of first_leak are those of one network. Pass the networks "
            f"of {model.name} one by one: {[network.name for network in networks]}. "
            f"Received: a {type(model).__name__} and conditions"
        )
    arrays = conditions.values() if isinstance(conditions, dict) else [conditions]
    lengths = [np.shape(array)[0] if np.ndim(array) else 0 for array in arrays]
    if 0 in lengths:
        raise ValueError(
            f"`conditions` of first_leak must have an element for each of some images, "
            f"at least one. Received: shapes {[np.shape(array) for array in arrays]}"
        )
    return condition_arrays(model, conditions, max(lengths, default=0), image_shape)


def _raster_models(model: FunctionalModel) -> Sequence[PixelModel]:
    """Return the networks of a model that sample in raster order, or raise an error."""
    if not isinstance(model, HasRasterModels):
        raise ValueError(
            f"`model` must be an AutoregressiveModel or a MultiScalePixelRNN: build an "
            f"AutoregressiveModel from the inputs and outputs of a functional graph. "
            f"Received: {type(model).__name__}"
        )
    return model.raster_models()


def _shows_leak(weights: Weights, model: PixelModel, pairs: ImagePairs) -> bool:
    """Return whether half of the pairs, in one batch, show a leak under some weights.

    One batch has no rounding that depends on its size. Trained weights can enlarge it
    until it looks as if images changed each other.
    """
    half = slice(None, None, 2)
    inputs = zip(some_of(pairs.before, half), some_of(pairs.after, half), strict=True)
    with keras.StatelessScope(state_mapping=weights):
        params = params_of(model, [np.concatenate(both) for both in inputs])
    before, after = np.split(params, 2)
    return bool(leaks_between(pairs, before, after, half).any())


def _leak_under(weights: Weights, model: PixelModel, pairs: ImagePairs) -> Leak | None:
    """Return a leak of a model with some weights, or None."""
    # Layers that are random, though they should not be, get other numbers.
    weighed = {id(weight) for weight in model.weights}
    seeds = [(x, x.value + 1) for x in model.variables if id(x) not in weighed]
    # Eleven changed images of thirteen, see `ImagePairs`.
    count = len(pairs.units) - (2 if len(pairs.units) > 10 else 1)
    # This order is not the images' own, and mirroring does not undo it.
    order = np.roll(np.random.default_rng(0).permutation(count), 1)
    with keras.StatelessScope(state_mapping=weights):
        before = params_of(model, pairs.before)
        leak = _call_leak(model, pairs)
        if leak is not None:
            return leak
    with keras.StatelessScope(state_mapping=[*weights, *seeds]):
        # The changed images are in a separate, smaller batch, in another order, so that
        # what depends on the others of a batch, their order or number, shows too.
        after = params_of(model, some_of(pairs.after, order))[np.argsort(order)]
        if not leaks_between(pairs, before, after).any():
            return None
        # It may still be rounding, which differs between batches of different sizes.
        leak = _batch_leak(model, pairs)
        if leak is not None:
            return leak
        # The CPU decides, and it also finds the layer. Fast convolutions of GPUs mix
        # neighboring pixels and cancel what a kernel does not see, so rounding errors
        # reach pixels that nothing else does.
        with tf.device("CPU"):
            both = pairs.before, pairs.after, pairs.before
            before, after, again = (params_of(model, inputs) for inputs in both)
            noise = changes_between(pairs, before, again).max()
            leaks = leaks_between(pairs, before, after, noise=_NOISE_FACTOR * noise)
            changed, seen_by = np.nonzero(leaks)
            if len(changed) == 0:
                return None
            leak = worst_leak(pairs.units[changed], seen_by, pairs.unit_shape)
            same = pairs.units == np.ravel_multi_index(leak.changed, pairs.unit_shape)
            inputs = some_of(pairs.before, same), some_of(pairs.after, same)
            return _blamed(model, leak, *inputs)


def _call_leak(model: PixelModel, pairs: ImagePairs) -> Leak | None:
    """Return a leak of a model whose parameters change from call to call, or None.

    Noise does that, and so does the state of a layer. Both calls are in the same
    `keras.StatelessScope`, which passes the state of the first one on.
    """
    # A model may be built for batches of a fixed size, and layers of such models, for
    # example a stateful LSTM, fail on a single image.
    inputs = some_of(pairs.before, slice(2))
    first, second = params_of(model, inputs), params_of(model, inputs)
    limit = 0.0
    if is_on_gpu():
        limit = _GPU_NOISE * np.abs(first[np.isfinite(first)]).max(initial=0)
    change = changes_between(pairs, first, second).max(axis=0)
    if change.max() <= limit:
        return None
    place = tuple(map(int, np.unravel_index(change.argmax(), pairs.unit_shape)))
    return _blamed(model, Leak(place, place, "call"), inputs, inputs)


def _batch_leak(model: PixelModel, pairs: ImagePairs) -> Leak | None:
    """Return a leak between the images of a batch, or None."""
    alone = some_of(pairs.before, [0])
    # The image is compared at the first place and at the last but one, since a layer
    # may mix it with images before it, with those after it, or with its mirror image.
    batch = some_of(pairs.before, [*range(len(pairs.units)), 0, 1])
    params, found = params_of(model, alone), params_of(model, batch)[[0, -2]]
    changes = changes_between(pairs, np.repeat(params, 2, axis=0), found)
    is_coarse = has_half_precision(model) or is_quantized(model)
    tolerance = _COARSE_BATCH_TOLERANCE if is_coarse else _BATCH_TOLERANCE
    largest = np.abs(params[np.isfinite(params)].astype("float64")).max(initial=0)
    change = changes.max(axis=0)
    if change.max() <= tolerance * largest:
        return None
    place = tuple(map(int, np.unravel_index(change.argmax(), pairs.unit_shape)))
    return _blamed(model, Leak(place, place, "batch"), alone, batch)


def _blamed(
    model: PixelModel, leak: Leak, before: list[Array], after: list[Array]
) -> Leak:
    """Return a leak with the name of the layer to blame, if it can be found."""
    try:
        layer = leaking_layer(model, leak, before, after)
    except Exception:
        layer = None  # Keras cannot walk the graph.
    return dataclasses.replace(leak, layer=layer)
