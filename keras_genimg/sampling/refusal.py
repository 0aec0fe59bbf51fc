"""Errors for layers that cannot be sampled pixel by pixel."""

import numpy as np
import tensorflow as tf

_ADVICE = {
    "Conv2D": "use MaskedConv2D instead",
    "DepthwiseConv2D": "use MaskedConv2D instead",
    "SeparableConv2D": "use MaskedConv2D instead",
    "BatchNormalization": "call it with training=False, or use "
    "LayerNormalization(axis=-1)",
    "Flatten": "keep the map's axes",
    "Reshape": "keep the map's axes",
}


class Refusal(ValueError):
    """Error of a layer that cannot be sampled pixel by pixel.

    Attributes:
        depends_on_batch: Whether an image depends on the other images of its batch,
            under any sampler.
    """

    depends_on_batch = False


def refusal(
    operation, args=(), kwargs=None, reason="is not known to be causal or pointwise"
):
    """Return a `Refusal` that names an operation and recommends a replacement.

    Args:
        operation: A Keras layer or operation.
        args: Its positional arguments in the graph.
        kwargs: Its keyword arguments.
        reason: Why it cannot be sampled.
    """
    kind = type(operation).__name__
    advice = _ADVICE.get(kind, "use causal or pointwise layers")
    shapes = [
        tuple(getattr(leaf, "spec", leaf).shape)
        for leaf in tf.nest.flatten((args, kwargs or {}))
        if hasattr(leaf, "spec") or isinstance(leaf, np.ndarray)
    ]
    return Refusal(
        f"The incremental sampler evaluates an image pixel by pixel, but {kind} "
        f"'{operation.name}' {reason}. To fix this, {advice}; implement the protocol "
        f"keras_genimg.layers.CausalLayer; or, if the layer acts on each pixel alone, "
        f"set `pointwise = True` in its class. Received: inputs of shape {shapes}"
    )
