"""A small model of each family for the 8x8 digits."""

import keras

from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN

SHAPE = (8, 8, 1)


def _pixel_rnn(layer):
    return PixelRNN(SHAPE, 2, 1, layer=layer, head_filters=2, first_kernel_size=3)


FAMILIES = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 2, 1, head_filters=2, first_kernel_size=3),
    "PixelRNN_row": lambda: _pixel_rnn("row"),
    "PixelRNN_diagonal": lambda: _pixel_rnn("diagonal"),
    "VAE": lambda: VAE(SHAPE, 2, 4, num_samples=2),
    "DRAW": lambda: DRAW(SHAPE, 2, 4, 2, read_size=3, write_size=3),
}


def make(name, strategy):
    """Return a new compiled model, the same in each process."""
    keras.utils.set_random_seed(0)
    with strategy.scope():
        model = FAMILIES[name]()
        model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.9))
    return model
