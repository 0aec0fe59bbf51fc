"""Models whose layers do not compute in full precision."""

from typing import TypeVar

import keras
import numpy as np

from keras_genimg.keras_private import all_layers

AnyModel = TypeVar("AnyModel", bound=keras.Model)

_HALF_PRECISION = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def is_half_precision(dtype):
    """Return whether a dtype or the name of a policy is in half precision."""
    return dtype in _HALF_PRECISION


def has_half_precision(model: keras.Model) -> bool:
    """Return whether a layer of a model computes in half precision."""
    return any(is_half_precision(x.compute_dtype) for x in all_layers(model))


def is_quantized(model: keras.Model) -> bool:
    """Return whether a layer of a model is quantized."""
    return any(getattr(x, "quantization_mode", None) for x in all_layers(model))


def in_float32(model: AnyModel) -> AnyModel | None:
    """Return a model of the same weights that computes everything in float32.

    Returns:
        The model; or None if a config does not describe it, as with LoRA inside a
        composite layer.
    """
    kinds = {type(layer) for layer in all_layers(model)}
    # Keras finds its own classes. They are left out here, since a layer and an
    # operation of Keras may share a name.
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
