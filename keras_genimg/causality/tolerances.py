"""Rounding differences between two programs of one model."""

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.causality.difference import difference_of_params
from keras_genimg.causality.half_precision import has_half_precision, in_float32
from keras_genimg.ops.devices import full_float32, is_on_gpu
from keras_genimg.types import TensorLike

# Relative to the largest parameter, for models in float32 or float64.
FLOAT32_TOLERANCE = 1e-4
# A quantized layer rounds its inputs to 1/127 of the largest. A difference in the last
# bit can change how one of them is rounded.
QUANTIZED_TOLERANCE = 0.05
# For models in half precision of which no twin in float32 can be made.
UNKNOWN_TOLERANCE = 0.3
# Half precision rounds two programs differently, each about as far from float32.
HALF_PRECISION_FACTOR = 4


def tolerance(
    model: keras.Model,
    images: TensorLike,
    conditions: Sequence[TensorLike] = (),
    weights: Sequence[tuple[keras.Variable, Any]] | None = None,
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
        weights: `(variable, value)` of all weights, in the order of `model.weights`, by
            default the model's own.

    Returns:
        A number to compare `sampler_difference` with.
    """
    layers = model._flatten_layers()
    if any(getattr(layer, "quantization_mode", None) for layer in layers):
        return QUANTIZED_TOLERANCE
    is_half = has_half_precision(model)
    if not is_half and not is_on_gpu():
        return FLOAT32_TOLERANCE
    values = {id(weight): value for weight, value in weights or ()}
    values = [values.get(id(w), w.value) for w in model.weights]
    twin = in_float32(model) if is_half else model
    if twin is None:
        return UNKNOWN_TOLERANCE
    inputs = [tf.cast(images, model.inputs[0].dtype), *conditions]

    def params_of(each):
        pairs = [
            (weight, tf.cast(value, weight.dtype))
            for weight, value in zip(each.weights, values, strict=True)
        ]
        with keras.StatelessScope(state_mapping=pairs):
            return each(inputs if conditions else inputs[0], training=False)

    params = params_of(model)
    with full_float32():
        difference = difference_of_params(params, params_of(twin))
    largest = float(tf.reduce_max(difference))
    return max(FLOAT32_TOLERANCE, HALF_PRECISION_FACTOR * largest)
