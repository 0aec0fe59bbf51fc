"""Layers and operations that act on each pixel alone."""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.split_colors import SplitColors
from keras_genimg.ops.affine import affine, prepare_affine

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
        A function that prepares weights, outside all loops, and returns a function of
        the same arguments with `(batch, channels)` tensors.
    """
    if kwargs.get("training"):
        return None
    if not isinstance(operation, keras.Layer):
        return _pointwise_operation(operation, args, kwargs)
    if isinstance(operation, _NO_EFFECT_IN_INFERENCE):
        return lambda: lambda inputs, **_: inputs
    if isinstance(operation, SplitColors):
        return lambda: operation.call
    if isinstance(operation, layers.Add):
        return lambda: tf.add_n
    if isinstance(operation, (*_ELEMENTWISE_LAYERS, *_MERGES)):
        return lambda: operation
    if isinstance(operation, layers.Concatenate):
        rank = len(args[0][0].spec.shape)
        if operation.axis in (-1, rank - 1):
            return lambda: lambda inputs: tf.concat(inputs, axis=-1)
        return None
    if is_linear(operation):
        return lambda: _sum_of_linear([operation])
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
        return lambda: operation
    if kind in ("Concatenate", "Softmax", "LogSoftmax"):
        if operation.axis in (-1, rank - 1):
            return lambda: type(operation)(axis=-1)
    return None


def is_linear(operation):
    """Return whether a layer is one product: dense, or a 1×1 convolution."""
    if type(operation) is layers.Dense:
        return True
    return (
        isinstance(operation, layers.Conv2D)
        and operation.kernel_size == (1, 1)
        and operation.strides == (1, 1)
        and operation.groups == 1
        and operation.data_format == "channels_last"
    )


def linear_sum(operations):
    """Return the sum of linear layers, each of its own input, as one product.

    Args:
        operations: Layers for which `is_linear` holds, without activations.

    Returns:
        As `pointwise_function`, for a function of a list of inputs.
    """

    def prepare():
        apply = _sum_of_linear(operations)
        return lambda inputs: apply(tf.concat(inputs, axis=-1))

    return prepare


def _sum_of_linear(operations):
    dtype = operations[0].compute_dtype
    kernels = [tf.cast(_kernel(layer), dtype) for layer in operations]
    biases = [tf.cast(x.bias, dtype) for x in operations if x.bias is not None]
    kernel = tf.concat(kernels, axis=0) if len(kernels) > 1 else kernels[0]
    weights = prepare_affine(kernel, tf.add_n(biases) if biases else None)
    activation = operations[-1].activation

    def apply(inputs):
        outputs = affine(tf.cast(inputs, dtype), weights)
        return activation(outputs) if activation else outputs

    return apply


def _kernel(layer):
    """Return the kernel of a linear layer, `(inputs, outputs)`."""
    kernel = ops.convert_to_tensor(layer.kernel)
    if isinstance(layer, MaskedConv2D):
        kernel = layer.masked_kernel(kernel)
    return tf.reshape(kernel, kernel.shape[-2:])


def _on_one_pixel(layer):
    """Return a layer that is called on maps of one pixel."""

    def expand(leaf):
        return leaf[:, None, None] if tf.is_tensor(leaf) else leaf

    def apply(*args, **kwargs):
        args, kwargs = tf.nest.map_structure(expand, (args, kwargs))
        return layer(*args, **kwargs)[:, 0, 0]

    return lambda: apply
