"""Checks of `keras_genimg.serving.verify`."""
