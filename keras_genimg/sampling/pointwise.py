"""Operations that act on each pixel alone."""

import copy
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import layers, ops

from keras_genimg.keras_private import operation_classes
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.split_colors import SplitColors
from keras_genimg.ops.convolution import affine
from keras_genimg.sampling.formulas import AffineWeights, Formula

_ELEMENTWISE_LAYERS = (
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
# Classes of elementwise operations of `keras.ops`, with broadcasting.
ELEMENTWISE = operation_classes(
    """
    Absolute Add Arctan Arctan2 Cast Ceil Celu Clip Cos Cosh Divide DivideNoNan
    Elu Equal Erf Exp Expm1 Floor FloorDivide Gelu Greater GreaterEqual HardShrink
    HardSigmoid HardSilu HardTanh Hypot LeakyRelu Less LessEqual Log Log10
    Log1p Log2 Logaddexp LogicalAnd LogicalNot LogicalOr LogSigmoid Maximum Minimum
    Mod Multiply Negative NotEqual Power Reciprocal Relu Relu6 Round Rsqrt Selu
    Sigmoid Sign Silu Sin Sinh Softplus SoftShrink Softsign SparsePlus Sqrt Square
    Squareplus StopGradient Subtract Tan Tanh TanhShrink Threshold TrueDivide Where
    """.split()
)
# Operations along an axis, which must be the channel axis.
_ALONG_AXIS = operation_classes(
    ["Concatenate", "Glu", "LogSoftmax", "Softmax", "Split"]
)
# Reductions, which must keep the axis that they reduce.
_REDUCTIONS = operation_classes(["Max", "Mean", "Min", "Sum"])
_INDEXING = operation_classes(["GetItem"])


def pointwise_function(
    operation: keras.Operation, args: Any, kwargs: Any
) -> Callable[..., Any] | None:
    """Return a function that applies an operation to one pixel.

    A custom layer is pointwise if it has an attribute `pointwise = True`. It is then
    called on maps of one pixel, `(batch, 1, 1, channels)`.

    Args:
        operation: A Keras layer, or an operation of `keras.ops`.
        args: Its positional arguments in the graph, with `Value`s instead of tensors.
        kwargs: Its keyword arguments.

    Returns:
        A function of the same arguments with `(batch, channels)` tensors. A `Linear`
        takes its prepared weights before them. None if the operation is unknown or sees
        more than one pixel.
    """
    if getattr(operation, "pointwise", False):
        return _on_one_pixel(operation)
    leaves = tf.nest.flatten((args, kwargs))
    ranks = {len(leaf.spec.shape) for leaf in leaves if hasattr(leaf, "spec")}
    if isinstance(operation, keras.Layer):
        return _layer_function(operation, ranks)
    return _ops_function(operation, args, kwargs, ranks)


def _layer_function(layer: keras.Layer, ranks: set[int]) -> Callable[..., Any] | None:
    rank = max(ranks)
    if isinstance(layer, _NO_EFFECT_IN_INFERENCE):
        return lambda inputs, *_, **__: autocast(layer, inputs)
    if isinstance(layer, SplitColors):
        return lambda inputs: layer.call(autocast(layer, inputs))
    if isinstance(layer, layers.Add):
        return lambda inputs: _sum(layer, inputs)
    if isinstance(layer, layers.Concatenate) and layer.axis in (-1, rank - 1):
        return lambda inputs: tf.concat(autocast(layer, inputs), axis=-1)
    if is_linear(layer) and rank == 4:
        # `activation` is None if somebody assigned None later, which Keras allows.
        activation = layer.activation or keras.activations.linear
        return Linear(layer.compute_dtype, activation)
    is_elementwise = isinstance(layer, _ELEMENTWISE_LAYERS) and len(ranks) == 1
    if isinstance(layer, layers.Rescaling):
        # Scales may differ between channels, but not between pixels.
        is_elementwise = max(np.ndim(layer.scale), np.ndim(layer.offset)) <= 1
    if is_elementwise:
        return layer
    is_pointwise = isinstance(layer, (layers.Activation, layers.Dense))
    if isinstance(layer, layers.PReLU):
        # One slope per channel, shared by all pixels.
        is_pointwise = set(layer.shared_axes or ()) >= {1, 2}
    if isinstance(layer, _OVER_CHANNELS):
        is_pointwise = _is_last(layer.axis, rank)
    return _on_one_pixel(layer) if is_pointwise else None


def _ops_function(
    operation: keras.Operation, args: Any, kwargs: Any, ranks: set[int]
) -> Callable[..., Any] | None:
    kind, rank = type(operation), max(ranks)
    if kind in ELEMENTWISE:
        # A constant with more axes may differ between pixels, and maps of different
        # ranks broadcast along other axes than the pixels'.
        constants = [*args, *kwargs.values(), *vars(operation).values()]
        if len(ranks) == 1 and not any(map(_has_axes, constants)):
            return operation
    elif kind in _ALONG_AXIS or (kind in _REDUCTIONS and operation.keepdims):
        if len(ranks) == 1 and _is_last(operation.axis, rank):
            return _along_last_axis(operation)
    elif kind in _INDEXING:
        key = _channel_slice(args[1] if len(args) > 1 else kwargs["key"], rank)
        if key is not None:
            return lambda x, _: x[..., key]
    return None


def _is_last(axis: Any, rank: int) -> bool:
    return axis in (-1, rank - 1, [-1], [rank - 1], (-1,), (rank - 1,))


def autocast(layer: keras.Layer, structure: Any) -> Any:
    """Cast floating tensors as a layer casts its inputs when it is called."""

    def cast(leaf: Any) -> Any:
        is_float = tf.is_tensor(leaf) and leaf.dtype.is_floating
        return tf.cast(leaf, layer.compute_dtype) if is_float else leaf

    return tf.nest.map_structure(cast, structure)


def _sum(layer: keras.Layer, inputs: Any) -> Any:
    same = len({tuple(x.shape[1:]) for x in inputs}) == 1
    are_floats = all(x.dtype.is_floating for x in inputs)
    return tf.add_n(autocast(layer, inputs)) if same and are_floats else layer(inputs)


def _on_one_pixel(layer: keras.Layer) -> Callable[..., Any]:
    """Return a function that calls a layer on maps of one pixel."""

    def expand(leaf: Any) -> Any:
        return leaf[:, None, None] if tf.is_tensor(leaf) else leaf

    def apply(*args: Any, **kwargs: Any) -> Any:
        args, kwargs = tf.nest.map_structure(expand, (args, kwargs))
        outputs = layer(*args, **kwargs)
        return tf.nest.map_structure(lambda tensor: tensor[:, 0, 0], outputs)

    return apply


def _along_last_axis(operation: keras.Operation) -> keras.Operation:
    pixel = copy.copy(operation)
    pixel.axis = -1
    return pixel


def _channel_slice(key: Any, rank: int) -> slice | None:
    """Return the slice of the last axis that a key of `x[key]` takes, or None."""
    # The key is a list if the model was loaded from a config.
    key = tuple(key) if isinstance(key, list) else key
    if not isinstance(key, tuple) or not isinstance(key[-1], slice):
        return None
    if key[:-1] in ((Ellipsis,), (slice(None),) * (rank - 1)):
        return key[-1]
    return None


def _has_axes(constant: Any) -> bool:
    """Return whether a constant has more axes than the channels'."""
    if hasattr(constant, "spec"):  # This is a layer's output, and no constant.
        return False
    if isinstance(constant, (list, tuple)):
        if any(hasattr(leaf, "spec") for leaf in tf.nest.flatten(constant)):
            return True
        return np.ndim(constant) > 1
    return len(getattr(constant, "shape", None) or ()) > 1


def is_linear(layer: keras.Layer) -> bool:
    """Return whether a layer is a single matrix product: dense, or a 1x1 convolution.

    Quantized layers are not, since their kernel has a scale, nor are subclasses, which
    may compute anything.
    """
    if getattr(layer, "quantization_mode", None) is not None or "call" in vars(layer):
        return False
    if type(layer) is layers.Dense:
        return True
    return (
        type(layer) in (layers.Conv2D, MaskedConv2D)
        and layer.kernel_size == (1, 1)
        and layer.strides == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


@dataclasses.dataclass(frozen=True)
class Linear:
    """Function of one pixel: a linear layer.

    Attributes:
        dtype: Compute dtype of the layer.
        activation: Its activation.

    Call arguments:
        weights: The tensors of `weights_of`, computed outside of all loops.
        inputs: Shape `(batch, channels)`, or a list of inputs to join.
    """

    dtype: str
    activation: Callable[..., Any]

    @property
    def is_product(self) -> bool:
        """Whether there is no activation."""
        return self.activation is keras.activations.linear

    def weights_of(self, layer: keras.Layer) -> AffineWeights:
        """Return the `AffineWeights` of a layer for which `is_linear` holds."""

        def kernel() -> tf.Tensor:
            kernel = ops.convert_to_tensor(layer.kernel)
            if isinstance(layer, MaskedConv2D):
                kernel = layer.masked_kernel(kernel)
            return tf.cast(tf.reshape(kernel, kernel.shape[-2:]), self.dtype)

        def negative_bias() -> tf.Tensor:
            return -tf.cast(layer.bias, self.dtype)

        has_bias = layer.bias is not None
        return AffineWeights(
            Formula(kernel), Formula(negative_bias) if has_bias else None
        )

    def __call__(self, weights: Any, inputs: Any) -> tf.Tensor:
        if isinstance(inputs, (list, tuple)):
            inputs = tf.concat([tf.cast(x, self.dtype) for x in inputs], axis=-1)
        outputs = affine(tf.cast(inputs, self.dtype), weights)
        return outputs if self.is_product else self.activation(outputs)
