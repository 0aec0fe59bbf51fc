"""Layers that act on each pixel alone."""

import keras
import numpy as np
import tensorflow as tf
from keras import layers

from keras_genimg.layers.split_colors import SplitColors
from keras_genimg.sampling.linear import is_linear, linear_function
from keras_genimg.sampling.pointwise_ops import pointwise_operation

_ELEMENTWISE = (
    layers.Average,
    layers.ELU,
    layers.Identity,
    layers.LeakyReLU,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.ReLU,
    layers.Subtract,
)
_OVER_CHANNELS = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.RMSNormalization,
    layers.Softmax,
    layers.UnitNormalization,
)
_NO_EFFECT_IN_INFERENCE = (
    layers.ActivityRegularization,
    layers.AlphaDropout,
    layers.Dropout,
    layers.GaussianDropout,
    layers.GaussianNoise,
    layers.SpatialDropout2D,
)


def pointwise_function(operation, args, kwargs):
    """Return a function that applies an operation to one pixel.

    A custom layer is pointwise if it has an attribute `pointwise = True`. It is then
    called on maps of one pixel, `(batch, 1, 1, channels)`.

    Args:
        operation: A Keras layer, or an operation of `keras.ops`.
        args: Its positional arguments in the graph, with `Value`s in place of tensors.
        kwargs: Its keyword arguments.

    Returns:
        A function that prepares weights, outside all loops, and returns a function of
        the same arguments with `(batch, channels)` tensors. None if the operation is
        unknown or sees more than one pixel.
    """
    if not isinstance(operation, keras.Layer):
        return pointwise_operation(operation, args, kwargs)
    if getattr(operation, "pointwise", False):
        return lambda: _on_one_pixel(operation)
    return _known_layer(operation, args, kwargs)


def _known_layer(layer, args, kwargs):
    leaves = tf.nest.flatten((args, kwargs))
    ranks = {len(leaf.spec.shape) for leaf in leaves if hasattr(leaf, "spec")}
    rank = max(ranks)
    if isinstance(layer, _NO_EFFECT_IN_INFERENCE):
        return lambda: lambda inputs, *_, **__: _autocast(layer, inputs)
    if isinstance(layer, SplitColors):
        return lambda: lambda inputs: layer.call(_autocast(layer, inputs))
    if isinstance(layer, layers.Rescaling):
        # Scales may differ between channels, but not between pixels.
        if max(np.ndim(layer.scale), np.ndim(layer.offset)) > 1:
            return None
        return lambda: layer
    if isinstance(layer, layers.Add):
        return lambda: lambda inputs: _sum(layer, inputs)
    if isinstance(layer, _ELEMENTWISE):
        return (lambda: layer) if len(ranks) == 1 else None
    if isinstance(layer, layers.Concatenate):
        if layer.axis in (-1, rank - 1):
            return lambda: lambda inputs: tf.concat(_autocast(layer, inputs), axis=-1)
        return None
    if isinstance(layer, layers.PReLU):
        # One slope per channel, shared by all pixels.
        shared = set(layer.shared_axes or ()) >= {1, 2}
        return (lambda: _on_one_pixel(layer)) if shared else None
    if is_linear(layer):
        return linear_function([layer])
    if isinstance(layer, (layers.Activation, layers.Dense)):
        return lambda: _on_one_pixel(layer)
    if isinstance(layer, _OVER_CHANNELS):
        over_channels = layer.axis in (-1, rank - 1, [rank - 1], [-1], (rank - 1,))
        return (lambda: _on_one_pixel(layer)) if over_channels else None
    return None


def _autocast(layer, inputs):
    """Cast inputs as the layer does when it is called."""

    def cast(tensor):
        tensor = tf.convert_to_tensor(tensor)
        return tf.cast(tensor, layer.compute_dtype) if _is_float(tensor) else tensor

    return tf.nest.map_structure(cast, inputs)


def _is_float(tensor):
    return tensor.dtype.is_floating


def _sum(layer, inputs):
    same = len({x.shape[-1] for x in inputs}) == 1 and all(map(_is_float, inputs))
    return tf.add_n(_autocast(layer, inputs)) if same else layer(inputs)


def _on_one_pixel(layer):
    """Return a function that calls a layer on maps of one pixel."""

    def expand(leaf):
        return leaf[:, None, None] if tf.is_tensor(leaf) else leaf

    def apply(*args, **kwargs):
        args, kwargs = tf.nest.map_structure(expand, (args, kwargs))
        outputs = layer(*args, **kwargs)
        return tf.nest.map_structure(lambda tensor: tensor[:, 0, 0], outputs)

    return apply
