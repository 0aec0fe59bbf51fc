"""Tensor functions that the layers are built from."""

from keras_genimg.ops.color_masks import causal_kernel_mask, color_groups
from keras_genimg.ops.conv_lstm import conv_lstm_scan
from keras_genimg.ops.skewed_map import SkewedMap
from keras_genimg.ops.uniforms import seeded_uniforms

__all__ = [
    "causal_kernel_mask",
    "color_groups",
    "conv_lstm_scan",
    "seeded_uniforms",
    "SkewedMap",
]


def __dir__():
    return __all__
