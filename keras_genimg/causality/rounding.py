"""Differences between two programs of one model that rounding explains."""

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.ops.devices import full_float32, is_on_gpu
from keras_genimg.ops.precision import (
    has_half_precision,
    is_half_precision,
    is_quantized,
)
from keras_genimg.sampling.forward_passes import forward_pass

# Relative to the largest parameter, for models in float32 or float64.
FLOAT32_TOLERANCE = 1e-4
# A quantized layer rounds its inputs to 1/127 of the largest. A difference in the last
# bit can change how one of them is rounded.
QUANTIZED_TOLERANCE = 0.05
# For models in half precision of which no twin in float32 can be made.
UNKNOWN_TOLERANCE = 0.3
# Half precision rounds two programs differently, each about as far from float32.
HALF_PRECISION_FACTOR = 4


def difference_of_params(params, expected):
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


def tolerance(model, images, conditions=(), weights=()):
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


def in_float32(model):
    """Return a model of the same weights that computes everything in float32.

    Returns:
        The model; or None if a config does not describe it, as with LoRA inside a
        composite layer.
    """
    kinds = {type(layer) for layer in model._flatten_layers()}
    # Keras knows its own, of which a layer and an operation may share a name.
    known = {x.__name__: x for x in kinds if x.__module__.partition(".")[0] != "keras"}
    policy = keras.config.dtype_policy()
    keras.config.set_dtype_policy("float32")
    try:
        with keras.saving.custom_object_scope(known):
            config = keras.tree.map_structure(
                lambda value: "float32" if is_half_precision(value) else value,
                model.get_config(),
            )
            twin = type(model).from_config(config)
        twin.set_weights([np.asarray(w, "float32") for w in model.get_weights()])
        return twin
    except Exception:  # Custom code can raise anything.
        return None
    finally:
        keras.config.set_dtype_policy(policy)
