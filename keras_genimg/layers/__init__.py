"""Keras layers for autoregressive and latent-variable image generation."""

from keras_genimg.layers.attention import ReadAttention, WriteAttention
from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.layers.diagonal_bilstm import DiagonalBiLSTM
from keras_genimg.layers.draw_cell import DRAWCell
from keras_genimg.layers.draw_loop import DRAWLoop
from keras_genimg.layers.gated_horizontal_conv import GatedHorizontalConv
from keras_genimg.layers.gated_vertical_conv import GatedVerticalConv
from keras_genimg.layers.gaussian_latent import GaussianLatent
from keras_genimg.layers.latent import Latent
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.residual_blocks import (
    ResidualLSTMBlock,
    ResidualMaskedConvBlock,
)
from keras_genimg.layers.row_lstm import RowLSTM
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
