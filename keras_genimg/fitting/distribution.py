"""Support for `tf.distribute`, and checks of unsupported options."""

import warnings

import keras
import tensorflow as tf

from keras_genimg.fitting.workarounds import parts_of
from keras_genimg.keras_private import (
    all_layers,
    arguments_of_calls,
    scope_of,
    scope_of_optimizer,
)
from keras_genimg.model_types import ImageModel
from keras_genimg.ops.replicas import whole_batch


def check_strategy(owner: str) -> None:
    """Raise if models cannot be made under the present strategy.

    Raises:
        ValueError: If it is a parameter-server strategy.
    """
    strategy = tf.distribute.get_strategy()
    if isinstance(strategy, tf.distribute.experimental.ParameterServerStrategy):
        raise ValueError(
            f"{owner} cannot be trained with parameter servers, which Keras 3 does not "
            f"support. Use tf.distribute.MultiWorkerMirroredStrategy. Received: "
            f"{type(strategy).__name__}"
        )


def check_compile(model: ImageModel, optimizer, arguments):
    """Raise if the strategy does not support these `compile` arguments.

    Layers that replicas normalize differently are only a warning.

    Args:
        model: The model.
        optimizer: Optimizer or its name.
        arguments: The other arguments of `compile`.

    Raises:
        ValueError: If it is outside the model's scope, or an argument does not work
            under its strategy.
    """
    check_scope(model, "compile")
    strategy = model.distribute_strategy
    replicas = strategy.num_replicas_in_sync
    parts = parts_of(optimizer)
    for part in parts:
        if (scope_of_optimizer(part) or strategy) is not strategy:
            scope = _scope(scope_of(model))
            raise ValueError(
                f"{model.name} was made in {scope}, and its optimizer {part.name} in "
                f"another one. Make the optimizer in the same: `with "
                f"strategy.scope():` around the model, the optimizer and `compile`. "
                f"Received: an optimizer of type {type(part).__name__}"
            )
    refused = []
    if replicas > 1:
        names = "steps_per_execution", "jit_compile"
        refused += [(name, arguments.get(name)) for name in names]
    if isinstance(
        strategy,
        (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy),
    ):
        # These update variables in a condition. A mirrored strategy cannot do that, not
        # even with one replica.
        names = "gradient_accumulation_steps", "ema_overwrite_frequency"
        refused += [(name, getattr(p, name, None)) for p in parts for name in names]
    defaults = {"steps_per_execution": 1, "jit_compile": "auto"}
    for name, value in refused:
        if value and value != defaults.get(name):
            kind = type(strategy).__name__
            where = "with one replica only" if replicas > 1 else f"without {kind} only"
            raise ValueError(
                f"`{name}` works {where}. Leave it out of compile under {kind}. "
                f"Received: {name}={value!r} with num_replicas={replicas}"
            )
    if replicas > 1:
        _warn_of_statistics(model, replicas)


def _warn_of_statistics(model: ImageModel, replicas):
    """Warn of layers that use the statistics of a replica's part of the batch."""
    names = [
        f"'{layer.name}'"
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        and layer.trainable
        and not layer.synchronized
        and not _is_always_inference(layer)
    ]
    if names:
        warnings.warn(
            f"BatchNormalization {', '.join(names)} of {model.name} normalizes each "
            f"part of a batch on its own, so that training with {replicas} replicas "
            f"differs from training on one device. Give these layers "
            f"`synchronized=True`, or use LayerNormalization.",
            stacklevel=4,  # The warning names the caller of `compile`.
        )


def _is_always_inference(layer):
    """Return whether each call of a layer in a graph says `training=False`."""
    calls = arguments_of_calls(layer)
    return bool(calls) and all(call.get("training") is False for call in calls)


def check_scope(model: ImageModel, method):
    """Raise if a model is compiled or trained in another scope than its own.

    Args:
        model: The model.
        method: Name of the method that is called. Unlike `compile`, those that train
            may be called outside of all scopes.

    Raises:
        ValueError: If the scope is not the one that the model was made in.
    """
    # This is None if the model was made outside of any scope. Keras'
    # `distribute_strategy` would return the present strategy then.
    made_in = scope_of(model)
    here = tf.distribute.get_strategy() if tf.distribute.has_strategy() else None
    if made_in is not here and (here is not None or method == "compile"):
        raise ValueError(
            f"{model.name} was made in {_scope(made_in)} and {method} was called in "
            f"{_scope(here)}. Do both in the same one: `with strategy.scope():` around "
            f"the model and `{method}`. Received: {method} in {_scope(here)}"
        )


def _scope(strategy):
    return f"the scope of {type(strategy).__name__}" if strategy else "no scope"


class ReplicaStep:
    """A step on one of several replicas, whose part of a batch may be smaller or empty.

    Keras averages the mean losses of the replicas, so in an incomplete last batch an
    example would weigh less on a replica that has more of them. Here each example
    weighs the same, as on one device. An empty part becomes an example of zeros, since
    TensorFlow has no gradients of convolutions of nothing; it weighs nothing, and is
    not counted in the metrics.

    Args:
        data: What the step received, as a structure of tensors and None.
        variables: Variables of the metrics.
    """

    def __init__(self, data, variables):
        self.num_examples = tf.shape(tf.nest.flatten(data)[0])[0]
        context = tf.distribute.get_replica_context()
        here = tf.cast(self.num_examples, tf.float32)
        self._total = context.all_reduce(tf.distribute.ReduceOp.SUM, here)
        self._share = context.num_replicas_in_sync * tf.math.divide_no_nan(
            here, self._total
        )
        self._before = [(v, tf.identity(v.value)) for v in variables]
        self.data = tf.nest.map_structure(self._never_empty, data)

    def _never_empty(self, tensor):
        if tensor is None:  # `train_on_batch` gives no targets and no weights.
            return None
        tensor = tf.convert_to_tensor(tensor)  # It also gives arrays to an eager step.
        missing = tf.maximum(1 - self.num_examples, 0)
        zeros = tf.zeros([missing, *tf.unstack(tf.shape(tensor))[1:]], tensor.dtype)
        # `tf.concat` copies, unlike `tf.pad`. Several replicas may share the memory of
        # an array that a generator yielded, and TensorFlow 2.21 would write to it.
        return tf.concat([tensor, zeros], axis=0)

    def whole_batch(self):
        """Return a context in which layers know the size of the whole batch."""
        return whole_batch(tf.cast(self._total, tf.int32))

    def weighed(self, loss):
        """Return a loss whose gradient is that of the mean over all examples.

        Args:
            loss: Scalar loss of this replica, scaled by the number of replicas. Its
                value stays, since the metrics weigh it by the number of examples.
        """
        weighed = loss * tf.cast(self._share, loss.dtype)
        return weighed + tf.stop_gradient(loss - weighed)

    def count_examples(self):
        """Set the metrics back if there was no example."""
        for variable, before in self._before:
            variable.assign(tf.where(self.num_examples > 0, variable.value, before))
