"""Draw or score millions of images, in shards that can be written in any order.

The unit of work is a shard: a range of images in fixed batches, written to one file.
A shard has the same content no matter which process writes it, and an existing shard is
not written again. To continue a stopped run, run its command again.

Workers need TensorFlow and NumPy, and no Keras.
"""
