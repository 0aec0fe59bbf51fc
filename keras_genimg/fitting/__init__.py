"""Support for `fit` and `tf.distribute` beyond Keras."""
