"""Layers and operations that act on each pixel alone."""

import keras
import tensorflow as tf
from keras import layers

from keras_genimg.layers.split_colors import SplitColors
from keras_genimg.ops.affine import affine

# Operations of `keras.ops`, by class name, that act on each number alone.
_ELEMENTWISE = set(
    """
    Abs Absolute Add Arctan Cast Ceil Celu Clip Cos Divide DivideNoNan Elu Equal Erf
    Exp Expm1 Floor Gelu Glu Greater GreaterEqual HardShrink HardSigmoid HardSilu
    HardTanh Identity Less LessEqual LeakyRelu Log Log1p LogSigmoid LogicalAnd
    LogicalNot LogicalOr Maximum Minimum Mod Multiply Negative NotEqual Power
    Reciprocal Relu Relu6 Round Rsqrt Selu Sigmoid Sign Silu Sin SoftShrink Softplus
    Softsign SparsePlus Sqrt Square SquarePlus StopGradient Subtract Tanh TanhShrink
    Threshold TrueDivide Where
    """.split()
)
_ELEMENTWISE_LAYERS = (
    layers.ELU,
    layers.Identity,
    layers.LeakyReLU,
    layers.ReLU,
    layers.Rescaling,
)
_MERGES = (
    layers.Average,
    layers.Maximum,
    layers.Minimum,
    layers.Multiply,
    layers.Subtract,
)
_OVER_CHANNELS = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.Softmax,
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
    """Return what an operation does to one pixel, or None if it sees more than one.

    A layer of one's own is pointwise if it says so by an attribute `pointwise = True`;
    it is then called on maps of one pixel, `(batch, 1, 1, channels)`.

    Args:
        operation: A Keras layer, or an operation of `keras.ops`.
        args: Its positional arguments in the graph, tensors as `Value`s.
        kwargs: Its keyword arguments.

    Returns:
        A function of the same arguments, with `(batch, channels)` tensors.
    """
    if kwargs.get("training"):
        return None
    if not isinstance(operation, keras.Layer):
        return _pointwise_operation(operation, args, kwargs)
    if isinstance(operation, _NO_EFFECT_IN_INFERENCE):
        return lambda inputs, **_: inputs
    if isinstance(operation, SplitColors):
        return operation.call
    if isinstance(operation, layers.Add):
        return lambda inputs: tf.add_n(inputs)
    if isinstance(operation, (*_ELEMENTWISE_LAYERS, *_MERGES)):
        return operation
    if isinstance(operation, layers.Concatenate):
        rank = len(args[0][0].spec.shape)
        if operation.axis in (-1, rank - 1):
            return lambda inputs: tf.concat(inputs, axis=-1)
        return None
    is_1x1 = isinstance(operation, layers.Conv2D) and (
        operation.kernel_size == (1, 1)
        and operation.strides == (1, 1)
        and operation.groups == 1
        and operation.data_format == "channels_last"
    )
    if is_1x1 or type(operation) is layers.Dense:
        return _linear(operation)
    over_channels = isinstance(operation, _OVER_CHANNELS) and (
        operation.axis in (-1, 3, [3], [-1], (3,), (-1,))
    )
    if (
        over_channels
        or isinstance(operation, layers.Activation)
        or getattr(operation, "pointwise", False)
    ):
        return _on_one_pixel(operation)
    return None


def _pointwise_operation(operation, args, kwargs):
    kind = type(operation).__name__
    leaves = tf.nest.flatten((args, kwargs))
    rank = max(len(leaf.spec.shape) for leaf in leaves if hasattr(leaf, "spec"))
    # A constant with axes of its own might differ from pixel to pixel.
    constants = [leaf for leaf in leaves if len(getattr(leaf, "shape", ())) > 1]
    if kind in _ELEMENTWISE and not constants:
        return operation
    if kind in ("Concatenate", "Softmax", "LogSoftmax"):
        if operation.axis in (-1, rank - 1):
            return type(operation)(axis=-1)
    return None


def _linear(layer):
    """Return a dense layer or a 1×1 convolution as a matrix product."""

    def apply(inputs):
        dtype = layer.compute_dtype
        kernel = tf.cast(layer.kernel, dtype)
        kernel = tf.reshape(kernel, kernel.shape[-2:])
        bias = None if layer.bias is None else tf.cast(layer.bias, dtype)
        outputs = affine(tf.cast(inputs, dtype), kernel, bias)
        if layer.activation is not None:
            outputs = layer.activation(outputs)
        return outputs

    return apply


def _on_one_pixel(layer):
    """Return a layer that is called on maps of one pixel."""

    def expand(leaf):
        return leaf[:, None, None] if tf.is_tensor(leaf) else leaf

    def apply(*args, **kwargs):
        args, kwargs = tf.nest.map_structure(expand, (args, kwargs))
        return layer(*args, **kwargs)[:, 0, 0]

    return apply
