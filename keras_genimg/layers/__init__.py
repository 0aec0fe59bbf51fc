"""Keras layers for autoregressive image generation."""

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.layers.diagonal_bilstm import DiagonalBiLSTM
from keras_genimg.layers.masked_conv2d import MaskedConv2D
from keras_genimg.layers.residual_lstm_block import ResidualLSTMBlock
from keras_genimg.layers.residual_masked_conv_block import ResidualMaskedConvBlock
from keras_genimg.layers.row_lstm import RowLSTM
from keras_genimg.layers.split_colors import SplitColors

__all__ = [
    "CausalLayer",
    "DiagonalBiLSTM",
    "MaskedConv2D",
    "ResidualLSTMBlock",
    "ResidualMaskedConvBlock",
    "RowLSTM",
    "SplitColors",
]
