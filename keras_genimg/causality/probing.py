"""Proof that the parameters of a sub-pixel depend on earlier ones alone."""

import dataclasses
import math
import warnings
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.leak import Leak, worst_leak
from keras_genimg.causality.random_weights import jittered_values, random_values
from keras_genimg.inputs.calls import cost_of_image
from keras_genimg.ops.graphs import shared_eager_traces
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.sampling.forward_passes import forward_pass

# Changes smaller than this fraction of the largest one may be rounding.
_TOLERANCE = 1e-5
# A leak must exceed the difference between two runs by this factor.
_NOISE_FACTOR = 10
# An image alone and in a batch may differ by this fraction of the largest parameter,
# and by more with quantized layers, or in half precision that has no twin in float32.
_BATCH_TOLERANCE = 1e-3
_COARSE_BATCH_TOLERANCE = 0.05
# Maximum number of sub-pixels per forward pass; 41 images of 28x28.
_MOST_PIXELS = 2**15
# Operations of a forward pass. A proof of more takes over 15 seconds of two CPU cores.
_ANNOUNCED = 4e10
# Height and width of the images for a model of any size.
_SIZE = 8


def announce_proof(model, image_shape):
    """Say that a model is proven, if that may take long."""
    if cost_of_image(model, [size or 1 for size in image_shape]) > _ANNOUNCED:
        text = f"{model.name}: the graph is proven once, which may take a minute."
        print(text, flush=True)


def check_causal(model, image_shape):
    """Raise an error unless a model is causal, see `first_leak`.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, with None for unknown sizes.

    Raises:
        ValueError: If the model is not causal. The error names the layer, if found.
    """
    announce_proof(model, image_shape)
    try:
        leak = first_leak(model, image_shape)
    except Exception as error:  # For example, the guessed conditions were invalid.
        warnings.warn(
            f"Could not check whether {model.name} is causal: it fails on random "
            f"images and conditions ({type(error).__name__}). Check it with "
            f"keras_genimg.causality.assert_causal(model, images, conditions=...), "
            f"then set `check_causality = False` on the model.",
            stacklevel=2,
        )
        return
    if leak is None:
        return
    result = "it learns to copy pixels that are not available during generation"
    if leak.kind == "batch":
        result = "no image of it can be reproduced"
    raise ValueError(
        f"{model.name} is not causal, so {result}. {leak} If this is intended, "
        f"`check_causality = False` on the model turns the check off, except for "
        f"exports with the incremental sampler."
    )


def is_causal(
    model: keras.Model, image_shape: Sequence[int | None] | None = None
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
    raster_models(model)
    try:
        return first_leak(model, image_shape) is None
    except Exception:
        return False


def first_leak(
    model: keras.Model, image_shape: Sequence[int | None] | None = None
) -> Leak | None:
    """Find a sub-pixel that sees itself or a later one, or another image.

    The graph is checked under random weights, so that a weight of zero hides nothing,
    and under those of the model with some noise, which are not written. Half precision
    is replaced by float32.

    Random images are each changed from a different sub-pixel on. The parameters of that
    sub-pixel and of all earlier ones must stay the same. One image is not changed, and
    its parameters must stay the same although the others of its batch are. The check
    compares values, not gradients, so it detects integer look-ups. Parameters that are
    not finite are ignored.

    A change counts if it exceeds 1e-5 of the largest change. It may still be rounding.
    The original and the changed images are then evaluated again, at the same places of
    two batches, and the originals once more, on the CPU. The change must also exceed
    ten times the difference between two runs of the originals.

    Args:
        model: An `AutoregressiveModel`. The networks of a `MultiScalePixelRNN` are
            checked one by one.
        image_shape: `(height, width, colors)` of the images to check with, for a model
            of any size. Unknown sizes are 8 by default.

    Returns:
        A `Leak`, or None. `str(leak)` says what is wrong, where, and how to fix it.

    Raises:
        ValueError: If `model` is another model.
        Exception: Any error of the graph. Values for the conditions are guesses:
            unknown sizes are those of the images, and integers of unknown range are 0
            or 1, or 0 alone if the graph fails on 1.
    """
    networks = raster_models(model)
    if networks != [model]:
        return next(filter(None, map(first_leak, networks)), None)
    shape = tuple(size or _SIZE for size in image_shape or model.image_shape)
    # Eager even while the caller is being traced: only the loops are worth a trace.
    with tf.init_scope(), shared_eager_traces(shape[0]):
        pairs = ImagePairs(model, shape)
        if has_half_precision(model):
            model = in_float32(model) or model
        leak = _leak_under(random_values(model), model, pairs)
        if leak is not None:
            return leak
        # Random weights may hide a layer, for example behind a minimum.
        own = jittered_values(model)
        if not _shows_leak(own, model, pairs):
            return None
        return _leak_under(own, model, pairs)


def raster_models(model):
    """Return the networks of a model that draw in raster order, or raise an error."""
    if not hasattr(model, "check_causality"):
        raise ValueError(
            f"`model` must be an AutoregressiveModel or a MultiScalePixelRNN: build an "
            f"AutoregressiveModel from the inputs and outputs of a functional graph. "
            f"Received: {type(model).__name__}"
        )
    return model._raster_models()


def _shows_leak(weights, model, pairs):
    """Return whether half of the pairs, in one batch, show a leak under some weights.

    One batch has no rounding that depends on its size. Trained weights can enlarge it
    until it looks as if images changed each other.
    """
    half = slice(None, None, 2)
    inputs = zip(_some(pairs.before, half), _some(pairs.after, half), strict=True)
    with keras.StatelessScope(state_mapping=weights):
        params = _params(model, [np.concatenate(both) for both in inputs])
    return _leaks(pairs, *np.split(params, 2), half).any()


def _leak_under(weights, model, pairs):
    """Return a leak of a model with some weights, or None."""
    # Layers that are random, though they should not be, draw other numbers.
    weighed = {id(weight) for weight in model.weights}
    seeds = [(x, x.value + 1) for x in model.variables if id(x) not in weighed]
    # Eleven changed images of thirteen, see `ImagePairs`.
    count = len(pairs.units) - (2 if len(pairs.units) > 10 else 1)
    # Not their own order, and mirroring does not undo it.
    order = np.roll(np.random.default_rng(0).permutation(count), 1)
    with keras.StatelessScope(state_mapping=weights):
        before = _params(model, pairs.before)
    with keras.StatelessScope(state_mapping=[*weights, *seeds]):
        # The changed images are in a separate, smaller batch, in another order, so that
        # what depends on the others of a batch, their order or number, shows too.
        after = _params(model, _some(pairs.after, order))[np.argsort(order)]
        if not _leaks(pairs, before, after).any():
            return None
        # It may still be rounding, which differs between batches of different sizes.
        leak = _batch_leak(model, pairs, before)
        if leak is not None:
            return leak
        # On the CPU, also to name the layer. Fast convolutions of GPUs mix neighboring
        # pixels and cancel what a kernel does not see, so rounding reaches pixels that
        # nothing else does.
        with tf.device("CPU"):
            both = pairs.before, pairs.after, pairs.before
            before, after, again = (_params(model, inputs) for inputs in both)
            noise = _changes(pairs, before, again).max()
            leaks = _leaks(pairs, before, after, noise=_NOISE_FACTOR * noise)
            changed, seen_by = np.nonzero(leaks)
            if len(changed) == 0:
                return None
            leak = worst_leak(pairs.units[changed], seen_by, pairs.unit_shape)
            same = pairs.units == np.ravel_multi_index(leak.changed, pairs.unit_shape)
            inputs = _some(pairs.before, same), _some(pairs.after, same)
            return _blamed(model, leak, *inputs)


def _leaks(pairs, before, after, index=slice(None), noise=0.0):
    """Return which units of the past of each change differ, `(images, num_units)`."""
    changes = _changes(pairs, before[: len(after)], after)
    past = np.arange(changes.shape[1]) <= pairs.units[index][: len(after), None]
    return past & (changes > max(_TOLERANCE * changes.max(), noise))


def _changes(pairs, before, after):
    """Return the largest absolute change of the parameters in each unit.

    Args:
        pairs: The `ImagePairs`.
        before: Parameters `(images, ...)`, in the order in which pixels are drawn.
        after: Parameters of the same shape.

    Returns:
        Float64 array of shape `(images, num_units)`. Parameters that are not finite
        before or after count as unchanged.
    """
    changes = []
    for old, new in zip(before, after, strict=True):
        finite = np.isfinite(old) & np.isfinite(new)
        # The difference of two float32 parameters can overflow float32.
        old, new = (np.where(finite, x, 0).astype("float64") for x in (old, new))
        change = np.abs(new - old).reshape(math.prod(pairs.unit_shape), -1)
        changes.append(change.max(axis=1))
    return np.stack(changes)


def _batch_leak(model, pairs, before):
    """Return a leak between the images of a batch, or from call to call, or None."""
    alone = _some(pairs.before, [0])
    # First and last but one, since a layer may mix an image with those before it, with
    # those after it, or with its mirror image.
    batch = _some(pairs.before, [*range(len(pairs.units)), 0, 1])
    params, found = _params(model, alone), _params(model, batch)[[0, -2]]
    mixed = _changes(pairs, np.repeat(params, 2, axis=0), found)
    noise = _changes(pairs, before, _params(model, pairs.before))
    is_coarse = has_half_precision(model) or is_quantized(model)
    tolerance = _COARSE_BATCH_TOLERANCE if is_coarse else _BATCH_TOLERANCE
    largest = np.abs(params[np.isfinite(params)].astype("float64")).max(initial=0)
    for changes, most in ((mixed, tolerance), (noise, _BATCH_TOLERANCE)):
        change = changes.max(axis=0)
        if change.max() > most * largest:
            unit = np.unravel_index(change.argmax(), pairs.unit_shape)
            place = tuple(map(int, unit))
            return _blamed(model, Leak(place, place, "batch"), alone, batch)
    return None


def _blamed(model, leak, before, after):
    """Return a leak with the name of the layer to blame, if it can be found."""
    try:
        layer = leaking_layer(model, leak, before, after)
    except Exception:
        layer = None  # Keras cannot walk the graph.
    return dataclasses.replace(leak, layer=layer)


def _some(inputs, index):
    """Return some elements of each of the inputs."""
    return [values[index] for values in inputs]


def _params(model, inputs):
    """Return the parameters for a list of inputs, as an array."""
    # Several calls for large images, to bound the memory of the feature maps.
    at_once = max(2, _MOST_PIXELS // math.prod(inputs[0].shape[1:]))
    params = []
    for start in range(0, len(inputs[0]), at_once):
        some = _some(inputs, slice(start, start + at_once))
        images, *conditions = map(tf.constant, some)
        params.append(forward_pass(model, images, conditions).numpy())
    return np.concatenate(params)
