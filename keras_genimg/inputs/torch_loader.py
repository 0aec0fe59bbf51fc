"""PyTorch data loaders as `tf.data` data sets."""

import numpy as np
import tensorflow as tf


def is_torch_loader(x):
    """Return whether `x` is a PyTorch `DataLoader`, without importing PyTorch."""
    return any(
        base.__name__ == "DataLoader" and base.__module__.startswith("torch.utils.data")
        for base in type(x).__mro__
    )


def loader_dataset(loader, owner):
    """Return the batches of a PyTorch `DataLoader` as a `tf.data.Dataset`.

    Keras reads only loaders of tuples and lists. This function also reads loaders of
    tensors and dicts.

    Args:
        loader: A `torch.utils.data.DataLoader`.
        owner: The call that received it, for error texts.

    Raises:
        ValueError: If it yields nothing.
    """

    def as_array(tensor):
        return np.asarray(tensor.cpu() if hasattr(tensor, "cpu") else tensor)

    def batches():
        for batch in loader:
            # `default_collate` makes lists, which data sets would stack.
            batch = tuple(batch) if isinstance(batch, list) else batch
            yield tf.nest.map_structure(as_array, batch)

    first = next(batches(), None)
    if first is None:
        raise ValueError(f"{owner} received an empty DataLoader: {loader}")
    spec = tf.nest.map_structure(
        lambda array: tf.TensorSpec((None, *array.shape[1:]), array.dtype), first
    )
    dataset = tf.data.Dataset.from_generator(batches, output_signature=spec)
    if hasattr(loader.dataset, "__len__"):
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(len(loader)))
    return dataset.prefetch(tf.data.AUTOTUNE)
