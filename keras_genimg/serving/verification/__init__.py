"""The parts of `keras_genimg.serving.verify`."""
