"""Operations of `keras.ops` that act on each pixel alone."""

import copy

import numpy as np
import tensorflow as tf

# Class names of elementwise operations, with broadcasting.
_ELEMENTWISE = set(
    """
    Abs Absolute Add Arctan Cast Ceil Celu Clip Cos Divide DivideNoNan Elu Equal Erf
    Exp Expm1 Floor Gelu Greater GreaterEqual HardShrink HardSigmoid HardSilu HardTanh
    Identity Less LessEqual LeakyRelu Log Log1p LogSigmoid LogicalAnd LogicalNot
    LogicalOr Maximum Minimum Mod Multiply Negative NotEqual Power Reciprocal Relu
    Relu6 Round Rsqrt Selu Sigmoid Sign Silu Sin SoftShrink Softplus Softsign
    SparsePlus Sqrt Square SquarePlus StopGradient Subtract Tanh TanhShrink Threshold
    TrueDivide Where
    """.split()
)
# Operations along an axis, which must be the channel axis.
_ALONG_AXIS = {"Concatenate", "Glu", "LogSoftmax", "Softmax", "Split"}
# Reductions, which must keep the axis that they reduce.
_REDUCTIONS = {"Max", "Mean", "Min", "Sum"}


def pointwise_operation(operation, args, kwargs):
    """Return a function that applies an operation of `keras.ops` to one pixel.

    Args:
        operation: The operation.
        args: Its positional arguments, with `Value`s in place of tensors.
        kwargs: Its keyword arguments.

    Returns:
        A function that prepares the operation and returns a function of the same
        arguments, with `(batch, channels)` tensors. None if the operation is unknown or
        sees more than one pixel.
    """
    kind = type(operation).__name__
    leaves = tf.nest.flatten((args, kwargs))
    ranks = {len(leaf.spec.shape) for leaf in leaves if hasattr(leaf, "spec")}
    rank = max(ranks)
    if kind in _ELEMENTWISE:
        # A constant with more axes may differ between pixels, and maps of different
        # ranks broadcast along other axes than the pixels'.
        constants = [*args, *kwargs.values(), *vars(operation).values()]
        if len(ranks) == 1 and not any(map(_has_axes, constants)):
            return lambda: operation
    elif kind in _ALONG_AXIS and len(ranks) == 1:
        if operation.axis in (-1, rank - 1):
            return lambda: _along_last_axis(operation)
    elif kind in _REDUCTIONS and operation.keepdims:
        if operation.axis in (-1, rank - 1, [-1], [rank - 1], (-1,), (rank - 1,)):
            return lambda: _along_last_axis(operation)
    elif kind == "GetItem":
        key = _channel_slice(args[1] if len(args) > 1 else kwargs["key"], rank)
        if key is not None:
            return lambda: lambda x, _: x[..., key]
    return None


def _along_last_axis(operation):
    pixel = copy.copy(operation)
    pixel.axis = -1
    return pixel


def _channel_slice(key, rank):
    """Return the slice of the last axis that a key of `x[key]` takes, or None."""
    whole = slice(None)
    # Loaded from a config, it is a list.
    key = tuple(key) if isinstance(key, list) else key
    if not isinstance(key, tuple) or not isinstance(key[-1], slice):
        return None
    if key[:-1] in ((Ellipsis,), (whole,) * (rank - 1)):
        return key[-1]
    return None


def _has_axes(constant):
    """Return whether a constant has more axes than the channels'."""
    if hasattr(constant, "spec"):  # Not a constant.
        return False
    if isinstance(constant, (list, tuple)):
        if any(hasattr(leaf, "spec") for leaf in tf.nest.flatten(constant)):
            return True
        return np.ndim(constant) > 1
    return len(getattr(constant, "shape", None) or ()) > 1
