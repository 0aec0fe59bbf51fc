"""Recurrent and autoregressive image generation with Keras 3.

Import what is used from its own package, for example
`from keras_genimg.layers import DiagonalBiLSTM` or
`from keras_genimg.models import PixelRNN`.
"""

__version__ = "0.1.0"
