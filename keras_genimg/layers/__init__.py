"""Keras layers for autoregressive and latent-variable image generation."""

from keras_genimg.layers.attention import ReadAttention, WriteAttention
from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.layers.draw import DRAWCell, DRAWLoop
from keras_genimg.layers.gated_convs import GatedHorizontalConv, GatedVerticalConv
from keras_genimg.layers.latent import GaussianLatent, Latent
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.pixel_lstm import DiagonalBiLSTM, RowLSTM
from keras_genimg.layers.residual_blocks import (
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
)
from keras_genimg.layers.split_colors import SplitColors

__all__ = [
    "CausalLayer",
    "DRAWCell",
    "DRAWLoop",
    "DiagonalBiLSTM",
    "GatedHorizontalConv",
    "GatedVerticalConv",
    "GaussianLatent",
    "Latent",
    "MaskedConv2D",
    "ReadAttention",
    "ResidualLSTMBlock",
    "ResidualMaskedConvBlock",
    "RowLSTM",
    "SplitColors",
    "WriteAttention",
]


def __dir__():
    return __all__
