"""Rounding differences between two programs of one model."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.ops.devices import full_float32, is_on_gpu
from keras_genimg.sampling.difference import difference_of_params
from keras_genimg.sampling.program import program_of
from keras_genimg.types import TensorLike

# Relative to the largest parameter, for models in float32 or float64.
FLOAT32_TOLERANCE = 1e-4
# A quantized layer rounds its inputs to 1/127 of the largest. A difference in the last
# bit can change how one of them is rounded.
QUANTIZED_TOLERANCE = 0.05
# Half precision rounds two programs differently, each about as far from float32.
HALF_PRECISION_FACTOR = 4

_HALF_PRECISION = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def tolerance(
    model: keras.Model, images: TensorLike, conditions: Sequence[TensorLike] = ()
) -> float:
    """Return the largest difference that rounding can explain.

    - In float32 and float64: 1e-4 of the largest parameter.
    - In half precision, and in the TensorFloat-32 that GPUs use for products of float32
      unless it is switched off: four times the largest difference between the forward
      pass and a float32 forward pass of the same weights, on the given images.
    - With quantized layers: at least 0.05.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.

    Returns:
        A number to compare `sampler_difference` with.
    """
    layers = [
        operation
        for operation in program_of(model).operations
        if isinstance(operation, keras.Layer)
    ]
    if any(getattr(layer, "quantization_mode", None) for layer in layers):
        return QUANTIZED_TOLERANCE
    is_half = any(layer.compute_dtype in _HALF_PRECISION for layer in layers)
    if not is_half and not is_on_gpu():
        return FLOAT32_TOLERANCE
    inputs = [images, *conditions] if conditions else images
    params = model(inputs, training=False)
    twin = model
    if is_half:
        known = {type(layer).__name__: type(layer) for layer in layers}
        with keras.saving.custom_object_scope(known):
            twin = in_float32(model)
    with full_float32():
        difference = difference_of_params(params, twin(inputs, training=False))
    largest = float(tf.reduce_max(difference))
    return max(FLOAT32_TOLERANCE, HALF_PRECISION_FACTOR * largest)


def in_float32(model):
    """Return a model of the same weights that computes everything in float32."""
    twin = type(model).from_config(_in_float32(model.get_config()))
    twin.set_weights([np.asarray(w, "float32") for w in model.get_weights()])
    return twin


def _in_float32(config):
    """Return a config with float32 in place of half precision."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return "float32" if config in _HALF_PRECISION else config
