"""Training without a pause between epochs."""

from typing import Any

from keras_genimg.datasets import Epochs


def without_pauses(
    x: Any, arguments: dict[str, Any], num_replicas: int
) -> tuple[Any, dict[str, Any]]:
    """Replace a data set of `keras_genimg.datasets` by one without end.

    Keras makes a new iterator for each epoch, unless it is given the number of steps.
    A new iterator takes as long as twenty steps of a small model.

    Args:
        x: Training data.
        arguments: The other arguments of `keras.Model.fit`.
        num_replicas: Number of replicas that train.

    Returns:
        Data and arguments for `keras.Model.fit`.
    """
    epochs = getattr(x, "epochs", None)
    if (
        num_replicas > 1
        or not isinstance(epochs, Epochs)
        or arguments.get("steps_per_epoch") is not None
    ):
        return x, arguments
    return epochs.endless(), {**arguments, "steps_per_epoch": epochs.num_batches}
