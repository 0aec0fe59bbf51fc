"""Epochs of a data set that can begin at any batch."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

NUM_PREFETCHED = 4  # Number of batches that are read ahead.
# Examples in memory are read in blocks of whole batches, up to this size. A call has a
# fixed cost, about half that of drawing the bits of a hundred images of MNIST. Another
# size draws other bits from the same seed.
BLOCK_BYTES = 2**21


@dataclasses.dataclass(frozen=True)
class Epochs:
    """The batches of a data set as a function of seed, epoch and position.

    No iterator state is needed to continue in the middle of an epoch, so training can
    be resumed exactly. The data sets of `keras_genimg.datasets` have this as their
    attribute `epochs`.

    Attributes:
        begin: Function of a key, two random `int64` of the epoch, and of the index of
            the first batch, an `int64`. It returns the batches of the epoch
            from that one on, as a `tf.data.Dataset`.
        num_batches: Number of batches of a whole epoch.
        batch_size: Number of examples in a batch; the last one may be smaller.
        seed: Integer seed of order and noise.
        description: JSON values that tell one data set from another.

    Example:
        >>> from keras_genimg.datasets import load
        >>> epochs = load("digits", "test", batch_size=100, shuffle=True).epochs
        >>> rest_of_fifth_epoch = epochs.read(4, start=2).take(1)
    """

    begin: Callable[[tf.Tensor, tf.Tensor], tf.data.Dataset]
    num_batches: int
    batch_size: int
    seed: int
    description: dict[str, Any]

    def read(
        self, epoch: int | tf.Variable, start: int | tf.Variable = 0
    ) -> tf.data.Dataset:
        """Return the batches of an epoch.

        Args:
            epoch: Number of the epoch. The value of a variable is read at the beginning
                of each pass.
            start: Index of the first batch.

        Returns:
            A `tf.data.Dataset`. Its cardinality is that of a whole epoch, which is
            wrong for a `start` above 0; nothing may be read past its end.
        """

        def begin(_):
            numbers = [tf.cast(number, tf.int64) for number in (self.seed, epoch)]
            # The key is a hash of seed and epoch, so that `stream` can derive others by
            # addition without meeting those of another epoch.
            key = tf.random.fold_in(tf.stack(numbers), 0, alg="philox")
            return self.begin(tf.cast(key, tf.int64), tf.cast(start, tf.int64))

        dataset = tf.data.Dataset.from_tensors(0).flat_map(begin)
        return self._finished(dataset, self.num_batches)

    def new_each_pass(self) -> tf.data.Dataset:
        """Return a data set in which each pass is another epoch.

        Its passes depend on the seed and on TensorFlow's global seed.
        """
        dataset: Any = self._finished(self._new_epochs(1), self.num_batches)
        dataset.epochs = self
        return dataset

    def endless(self) -> tf.data.Dataset:
        """Return new epochs one after the other, as a data set without end.

        Each epoch is prepared while the end of the one before is in use. With
        `new_each_pass`, a new iterator has to be made first, which takes about 0.1 s.
        Each pass begins with a new epoch.
        """
        return self._endless

    # All calls share one data set: a second one would repeat the epochs of the first.
    @functools.cached_property
    def _endless(self):
        return self._finished(self._new_epochs(-1), tf.data.INFINITE_CARDINALITY)

    def _new_epochs(self, count):
        keys = tf.data.Dataset.random(self.seed, rerandomize_each_iteration=True)
        keys = keys.batch(2, drop_remainder=True).take(count)
        first = tf.constant(0, tf.int64)
        return keys.flat_map(lambda key: self.begin(key, first))

    def _finished(self, dataset, cardinality):
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(cardinality))
        dataset = dataset.prefetch(NUM_PREFETCHED)
        options = tf.data.Options()
        # To free an iterator, TensorFlow waits for the thread that tunes it, which may
        # sleep for seconds. Maps keep all cores busy without it.
        options.autotune.enabled = False
        # Shard by batch: sharding by file would change the positions.
        options.experimental_distribute.auto_shard_policy = (
            tf.data.experimental.AutoShardPolicy.DATA
        )
        return dataset.with_options(options)


def make_epochs(
    stored: Callable[[tf.Tensor], tf.data.Dataset] | None,
    num_examples: int,
    batch_size: int,
    *,
    in_memory: Any = None,
    finish: Callable[..., Any] = lambda batch, key, index: batch,
    shuffle_within: int = 0,
    drop_remainder: bool = False,
    seed: int = 0,
    description: dict[str, Any] | None = None,
) -> Epochs:
    """Return the epochs of a data set.

    Args:
        stored: Function of the key of an epoch that returns its examples in their own
            order, as an unbatched `tf.data.Dataset`.
        num_examples: Number of examples.
        batch_size: Examples per batch.
        in_memory: All examples as a structure of arrays, instead of `stored`.
        finish: Function of a batch, the key of the epoch and the index of the batch
            that returns an element of the epoch. It may be given several batches at
            once, concatenated along the first axis, and the index of the first.
        shuffle_within: Number of successive examples to shuffle among each other, at
            least a batch, and all of those in memory; 0 to keep the order.
        drop_remainder: Whether to drop an incomplete last batch.
        seed: See `Epochs`.
        description: See `Epochs`.
    """
    num_batches = num_examples // batch_size
    if not drop_remainder and num_examples % batch_size:
        num_batches += 1
    per_window = max(shuffle_within // batch_size, 1)

    def in_order(key, start):
        examples = stored(key).skip(start * batch_size)
        batches = examples.batch(batch_size, drop_remainder).enumerate(start)
        return batches.map(
            lambda index, batch: finish(batch, key, index),
            num_parallel_calls=tf.data.AUTOTUNE,
        )

    def in_windows(key, start):
        first = start // per_window
        window_size = per_window * batch_size
        windows = stored(key).skip(first * window_size).batch(window_size)

        def batches_of(window, examples):
            begin = tf.where(window == first, start % per_window, 0)
            return from_memory(examples, key, begin, window)

        return windows.enumerate(first).flat_map(batches_of)

    def from_memory(examples, key, start, window=0):
        arrays = tf.nest.flatten(examples)
        size = tf.shape(arrays[0], tf.int64)[0]
        order = _permutation(size, key, window) if shuffle_within else tf.range(size)
        if drop_remainder:
            order = order[: size // batch_size * batch_size]
        bytes_each = sum(x.shape[1:].num_elements() * x.dtype.size for x in arrays)
        per_block = max(BLOCK_BYTES // max(batch_size * bytes_each, 1), 1)
        block_size = per_block * batch_size

        def read(block):
            chosen = order[block * block_size : (block + 1) * block_size]
            examples_of_block = tf.nest.map_structure(
                lambda x: tf.gather(x, chosen), examples
            )
            first = window * per_window + block * per_block
            return finish(examples_of_block, key, first)

        num_blocks = -(-tf.size(order, tf.int64) // block_size)
        blocks = tf.data.Dataset.range(start // per_block, num_blocks)
        blocks = blocks.map(read, num_parallel_calls=tf.data.AUTOTUNE)
        return blocks.rebatch(batch_size, drop_remainder).skip(start % per_block)

    def begin(key, start):
        if in_memory is not None:
            return from_memory(in_memory, key, start)
        return (in_windows if shuffle_within else in_order)(key, start)

    return Epochs(begin, num_batches, batch_size, seed, description or {})


def _permutation(size, key, window):
    """Return the indices below `size` in a random order, each equally likely."""
    numbers = tf.random.stateless_uniform(
        (size,), stream(key, ORDER, window), None, None, tf.int64, alg="philox"
    )
    # A stable sort does not leave the order of equal numbers to the algorithm.
    return tf.cast(tf.argsort(numbers, stable=True), tf.int64)


# Each key has these streams of random numbers.
ORDER = 0
PIXELS = 1
CROPS = 2
CANVASES = 3
TIES = 4  # Ties between the draws of `PIXELS`.
FLIPS = 5


def stream(key, kind, index):
    """Return the seed, two integers, of an independent stream of random numbers.

    Args:
        key: Two random `int64`. An addition then makes a seed that nobody else has. To
            fold the index in would take as long as to draw the bits of a batch.
        kind: One of the constants of this module.
        index: Index of a batch or of another part of an epoch.
    """
    kind = tf.constant(kind, tf.int64)
    return key + tf.stack([kind, tf.cast(index, tf.int64)])
