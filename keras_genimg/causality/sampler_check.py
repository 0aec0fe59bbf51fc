"""Check that the incremental sampler and the forward pass agree, up to rounding."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.probing import check_causal
from keras_genimg.keras_private import all_layers
from keras_genimg.layers.causal_layer import CausalLayer, has_step_row, reach_of
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.devices import full_float32, is_on_gpu
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.sampling.orders.order import Choice
from keras_genimg.sampling.orders.pixels import Pixels
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.program import Value, on_maps
from keras_genimg.sampling.sampler import given_pixel, teacher_forced_params
from keras_genimg.sampling.values import PlanValues, merged

# Tolerances are relative to the largest parameter; this is for float32 and float64.
FLOAT32_TOLERANCE = 1e-4
# A quantized layer rounds its inputs to 1/127 of the largest. A difference in the last
# bit can change how one of them is rounded.
QUANTIZED_TOLERANCE = 0.05
# This is for models in half precision that cannot be copied in float32.
UNKNOWN_TOLERANCE = 0.3
# Half precision rounds two programs differently. Each is about as far from float32.
HALF_PRECISION_FACTOR = 4


def sampler_difference(
    model: PixelModel, images: tf.Tensor, conditions: Sequence[tf.Tensor] = ()
) -> tf.Tensor:
    """Compare the sampler's parameters with those of the forward pass.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.

    Returns:
        The largest difference in each image relative to the largest parameter, float32
        `(batch,)`; infinite if a parameter is not finite.
    """
    expected = forward_pass(model, images, conditions)
    params = teacher_forced_params(model, images, conditions)
    return difference_of_params(params, expected)


def check_difference(
    model: PixelModel,
    weights: Sequence[tuple[keras.Variable, Any]],
    params: tf.Tensor,
    images: tf.Tensor,
    conditions: Sequence[tf.Tensor] = (),
) -> None:
    """Raise an error unless the sampler's parameters are those of a forward pass.

    The sampler computes a sub-pixel before there are later ones, and these images in
    one batch. A model that agrees on each image alone is therefore causal.

    Args:
        model: An `AutoregressiveModel`.
        weights: `(variable, value)` of all weights that the model is to have.
        params: The parameters that the sampler computes with these weights, of all
            rows of the images or of the first ones.
        images: The images of the parameters, float32 `(batch, height, width, colors)`.
        conditions: The model's inputs besides the images.

    Raises:
        ValueError: If they differ by more than rounding. The error names the layer that
            leaks, or the first that disagrees, if one is found.
    """
    parts = [tf.split(values, len(images)) for values in (images, *conditions)]
    with keras.StatelessScope(state_mapping=weights):
        alone = [forward_pass(model, x, rest) for x, *rest in zip(*parts, strict=True)]
    expected = tf.concat(alone, axis=0)[:, : params.shape[1]]
    largest = float(tf.reduce_max(difference_of_params(params, expected)))
    # Usually, the difference is far below, and half precision needs no second model.
    if largest <= FLOAT32_TOLERANCE:
        return
    limit = tolerance(model, images, conditions, weights)
    if largest <= limit:
        return
    check_causal(model, tuple(images.shape[1:]))
    with keras.StatelessScope(state_mapping=weights):
        layer = first_disagreement(model, images, conditions, limit)
    if layer is not None:
        why = (
            f"The first layer that disagrees is {type(layer).__name__} '{layer.name}': "
            f"its methods for the sampler (see keras_genimg.layers.CausalLayer) do not "
            f"compute the same as its `call`, or it sees more than one pixel."
        )
    else:
        why = "Pixel by pixel, no single layer disagrees."
        causal = (x for x in all_layers(model) if isinstance(x, CausalLayer))
        kinds = {
            type(each).__name__
            for each in causal
            if has_step_row(each) or reach_of(each) is not None
        }
        if kinds:
            why += (
                f" The `reach` or `step_row` of one of these layers may not fit its "
                f"`step`, `begin_row` and `end_row` (see "
                f"keras_genimg.layers.CausalLayer): {', '.join(sorted(kinds))}."
            )
    raise ValueError(
        f"The incremental sampler of {model.name} does not compute the same as the "
        f"model, so its images would be wrong. Relative to the largest parameter, they "
        f"differ by {largest:.2g}; rounding explains at most {limit:.2g}. {why} "
        f"Fix it, or use method='ancestral'."
    )


def first_disagreement(
    model: PixelModel,
    images: tf.Tensor,
    conditions: Sequence[tf.Tensor] = (),
    limit: float = FLOAT32_TOLERANCE,
) -> Any:
    """Return the first layer whose methods for the sampler disagree with its `call`.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.
        limit: Largest difference that rounding explains, see `tolerance`.

    Returns:
        The layer or operation, or None if all agree.
    """
    given = tf.transpose(images, (1, 2, 0, 3))
    # The plan is not rewritten, so that each layer has the output that it has on maps.
    plan = Plan.of(model)
    compared = [(step, value) for step in plan.steps for value in step.outputs]
    plan = dataclasses.replace(plan, observed=tuple(value for _, value in compared))
    plan_values = PlanValues.of(plan, given, conditions, fused=True)

    def observe(params: list[tf.Tensor], values: dict[Value, Any]) -> tf.Tensor:
        parts = [merged(values[value], 1) for _, value in compared]
        return tf.concat([tf.cast(x, tf.float32) for x in parts], axis=-1)

    def visit() -> Any:
        choice = Choice([given], given_pixel, observe)
        return Pixels(plan_values).visit(choice, plan_values.height).observed

    observed = tf.function(visit, autograph=False)()
    pixels = tf.transpose(observed, (2, 0, 1, 3))
    inputs = tf.cast(images, model.inputs[0].dtype), *conditions
    steps = (*plan.fixed_steps, *plan.steps)
    maps = on_maps(steps, dict(zip(plan.inputs, inputs, strict=True)))
    maps = [tf.cast(merged(maps[value], 3), tf.float32) for _, value in compared]
    sizes: list[Any] = [each.shape[-1] for each in maps]
    pixels = tf.split(pixels, sizes, axis=-1)
    for (step, _), *both in zip(compared, pixels, maps, strict=True):
        if not tf.reduce_max(difference_of_params(*both)) <= limit:
            return step.operation
    return None


def difference_of_params(params: tf.Tensor, expected: tf.Tensor) -> tf.Tensor:
    """Return the largest difference from the parameters of a forward pass.

    Args:
        params: Parameters of a likelihood, the batch first.
        expected: Parameters of the same shape.

    Returns:
        The largest difference in each image relative to the largest expected parameter,
        float32 `(batch,)`; infinite if a parameter is not finite.
    """
    params = tf.reshape(params, (tf.shape(params)[0], -1))
    expected = tf.reshape(expected, (tf.shape(expected)[0], -1))
    largest = tf.reduce_max(tf.abs(expected), axis=-1)
    difference = tf.reduce_max(tf.abs(params - expected), axis=-1)
    finite = tf.math.is_finite(params) & tf.math.is_finite(expected)
    part = tf.where(difference == 0, 0.0, difference / largest)
    return tf.where(tf.reduce_all(finite, axis=-1), part, np.inf)


def tolerance(
    model: PixelModel,
    images: tf.Tensor,
    conditions: Sequence[tf.Tensor] = (),
    weights: Sequence[tuple[keras.Variable, Any]] = (),
) -> float:
    """Return the largest difference that rounding can explain.

    - In float32 and float64: 1e-4 of the largest parameter.
    - In half precision, and in the TensorFloat-32 that GPUs use for products of float32
      unless it is switched off: four times the largest difference between the forward
      pass and a float32 forward pass of the same weights, on the given images.
    - With quantized layers: 0.05.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.
        weights: `(variable, value)` of all weights, in any order and perhaps with those
            of other networks; by default the model's own.

    Returns:
        A number to compare `sampler_difference` with.
    """
    if is_quantized(model):
        return QUANTIZED_TOLERANCE
    is_half = has_half_precision(model)
    if not is_half and not is_on_gpu():
        return FLOAT32_TOLERANCE
    twin = in_float32(model) if is_half else model
    if twin is None:
        return UNKNOWN_TOLERANCE
    with keras.StatelessScope(state_mapping=weights):
        params = forward_pass(model, images, conditions)
        values = [weight.value for weight in model.weights]
    pairs = zip(twin.weights, values, strict=True)
    with keras.StatelessScope(state_mapping=pairs), full_float32():
        expected = forward_pass(twin, images, conditions)
    largest = float(tf.reduce_max(difference_of_params(params, expected)))
    return max(FLOAT32_TOLERANCE, HALF_PRECISION_FACTOR * largest)
