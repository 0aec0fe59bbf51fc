"""Twins in float32 of models in half precision."""

import keras
import numpy as np

_HALF_PRECISION = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def has_half_precision(model):
    """Return whether a layer of a model computes in half precision."""
    return any(
        layer.compute_dtype in _HALF_PRECISION for layer in model._flatten_layers()
    )


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
            twin = type(model).from_config(_in_float32(model.get_config()))
        twin.set_weights([np.asarray(w, "float32") for w in model.get_weights()])
        return twin
    except Exception:  # Custom code can raise anything.
        return None
    finally:
        keras.config.set_dtype_policy(policy)


def _in_float32(config):
    """Return a config with float32 in place of half precision."""
    if isinstance(config, dict):
        return {key: _in_float32(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return type(config)(_in_float32(value) for value in config)
    return "float32" if config in _HALF_PRECISION else config
