"""What `fit` and `tf.distribute` need beyond Keras."""
