"""Dense layers and 1x1 convolutions as matrix products of one pixel."""

import keras
import tensorflow as tf
from keras import layers, ops

from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.ops.affine import affine, prepare_affine


def is_linear(layer):
    """Return whether a layer is a single matrix product: dense, or a 1x1 convolution.

    Quantized layers are not, since their kernel has a scale, nor are subclasses, which
    may compute anything.
    """
    if getattr(layer, "quantization_mode", None) is not None or "call" in vars(layer):
        return False
    if type(layer) not in (layers.Dense, layers.Conv2D, MaskedConv2D):
        return False
    if isinstance(layer, layers.Dense):
        return True
    return (
        isinstance(layer, layers.Conv2D)
        and layer.kernel_size == (1, 1)
        and layer.strides == (1, 1)
        and layer.groups == 1
        and layer.data_format == "channels_last"
    )


def has_activation(layer):
    """Return whether a linear layer applies an activation."""
    return layer.activation not in (None, keras.activations.linear)


def linear_function(linear_layers):
    """Return the sum of linear layers with different inputs, as one product.

    Args:
        linear_layers: Layers for which `is_linear` holds, of one compute dtype; only
            the last may have an activation.

    Returns:
        A function that prepares the weights, outside all loops. It returns a function
        of a list of inputs (of one input for a single layer), each of shape
        `(batch, channels)`.
    """

    def prepare():
        dtype = linear_layers[0].compute_dtype
        kernels = [tf.cast(_kernel(layer), dtype) for layer in linear_layers]
        biases = [tf.cast(x.bias, dtype) for x in linear_layers if x.bias is not None]
        kernel = tf.concat(kernels, axis=0) if len(kernels) > 1 else kernels[0]
        weights = prepare_affine(kernel, tf.add_n(biases) if biases else None)
        activation = linear_layers[-1].activation

        def apply(inputs):
            if isinstance(inputs, (list, tuple)):
                inputs = tf.concat([tf.cast(x, dtype) for x in inputs], axis=-1)
            outputs = affine(tf.cast(inputs, dtype), weights)
            return activation(outputs) if activation else outputs

        return apply

    return prepare


def _kernel(layer):
    """Return the kernel of a linear layer, `(inputs, outputs)`."""
    kernel = ops.convert_to_tensor(layer.kernel)
    if isinstance(layer, MaskedConv2D):
        kernel = layer.masked_kernel(kernel)
    return tf.reshape(kernel, kernel.shape[-2:])
