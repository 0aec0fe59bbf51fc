"""All that the library uses of Keras and TensorFlow beyond their public names.

A new version may rename what is here without notice. Each function says what it is used
for, why no public name will do, and the versions that it was seen in; a test of
`tests/test_keras_private.py` uses it as the library does.
"""

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras.src.backend import AutocastScope
from keras.src.models.functional import Functional
from keras.src.ops import core, math, nn, numpy
from tensorflow.python.ops import control_flow_util

# Layers and models.


def all_layers(layer: keras.Layer, include_self: bool = True) -> list[keras.Layer]:
    """Return a layer or model and all layers in it, each once.

    It finds what makes a model unfit or a compiled function stale: a dtype policy, a
    quantized layer, a regularizer. `model.layers` has the outermost layers of a model
    alone, and an attribute of a composite layer may hold others anywhere.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Layer._flatten_layers`).
    """
    return list(layer._flatten_layers(include_self=include_self))


def arguments_of_calls(layer: keras.Layer) -> list[dict[str, Any]]:
    """Return the keyword arguments of each call of a layer in a functional graph.

    They tell whether a layer is ever called in training. A graph has public tensors and
    layers, but not the calls between them.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Operation._inbound_nodes`).
    """
    return [node.arguments.kwargs for node in layer._inbound_nodes]


def forget_losses(layer: keras.Layer) -> None:
    """Remove what a layer, or a layer in it, has passed to `add_loss` in its last call.

    Keras adds these tensors to the loss of a model. Tensors from a loop in a graph
    cannot be used after the loop.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Layer._clear_losses`).
    """
    layer._clear_losses()


def autocast_scope(operation: keras.Operation) -> AbstractContextManager[Any]:
    """Return a context in which variables are read as in a call of a layer.

    A layer of mixed precision casts its variables to its compute dtype. Keras does so
    while `__call__` runs, but not in `compute_output_spec` or a plain `call`, which the
    sampler traces; there, half and full precision would meet.

    Seen in Keras 3.12.1 to 3.16.0.dev (`backend.AutocastScope`).
    """
    is_mixed = (
        isinstance(operation, keras.Layer)
        and operation.autocast
        and operation.compute_dtype != operation.variable_dtype
    )
    return AutocastScope(operation.compute_dtype) if is_mixed else nullcontext()


# Graphs of functional models.


class GraphModel(keras.Model):
    """A functional model with hooks at places where Keras has none.

    A subclass may override the methods of this class that begin with an underscore and
    are documented here. It should not override `call`: the sampler reads the graph of
    a model, and refuses one whose `call` may compute something else.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Functional`, `Trainer._maybe_symbolic_build`,
    `Function._run_through_graph`).
    """

    def call(self, inputs, training=None, mask=None):
        return super().call(self._inputs_of_graph(inputs), training, mask)

    def _inputs_of_graph(self, inputs):
        """Return what the graph computes with, for what the model is called with."""
        return inputs

    def _build_for_steps(self, iterator, batch):
        """Build what Keras builds just before the first step of `fit` or `evaluate`.

        A data set can be replaced and variables can be made before a step is traced.
        Callbacks come too late for both.

        Args:
            iterator: Keras' iterator over the epoch, see `dataset_of`; or None.
            batch: A batch instead of the iterator; or None.
        """
        super()._maybe_symbolic_build(iterator, batch)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        self._build_for_steps(iterator, data_batch)

    def _check_may_be_cloned(self):
        """Raise if `keras.models.clone_model` would return an unfit model.

        It takes what `get_config` returns for the arguments of a `keras.Model`, and
        asks the model for nothing else.
        """

    def _run_through_graph(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Only `clone_model` passes a function to a model that is built.
        if self.built and "call_fn" in kwargs:
            self._check_may_be_cloned()
        return super()._run_through_graph(inputs, *args, **kwargs)


_CALLS_OF_GRAPHS = (Functional.call, keras.Sequential.call, GraphModel.call)


def runs_its_graph(operation: keras.Operation) -> bool:
    """Return whether a layer is a model whose `call` runs its own graph.

    That is a functional or sequential model, unless a subclass or the object has a
    `call` of its own. `keras.Model` is also the class of models without a graph.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Functional`).
    """
    if not isinstance(operation, keras.Model) or "call" in vars(operation):
        return False
    return type(operation).call in _CALLS_OF_GRAPHS


def run_graph(
    graph: keras.Function, values: Sequence[Any], call: Callable[..., list[Any]]
) -> Any:
    """Run a graph with a function that computes each operation.

    A `keras.Function` can be called with tensors, but not with other objects, such as
    those that the sampler has instead of tensors.

    Args:
        graph: The graph.
        values: Values of its inputs, in order.
        call: Function of an operation and the arguments of its call, with values
            instead of tensors. It returns the values of the outputs.

    Returns:
        The values of the outputs, in their structure.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Function._run_through_graph`).
    """
    return graph._run_through_graph(values, lambda operation: operation, call)


class Call(NamedTuple):
    """One call of an operation in a graph, with its symbolic tensors."""

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    outputs: list[keras.KerasTensor]


def calls_in_order(graph: keras.Function) -> list[Call]:
    """Return the calls in a graph, in the order of computation.

    `keras.Function.operations` names each operation once, and no tensors.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Function._nodes_by_depth`).
    """
    depths = sorted(graph._nodes_by_depth.items(), reverse=True)
    return [
        Call(node.operation, node.input_tensors, node.outputs)
        for _, nodes in depths
        for node in nodes
        if not node.is_input
    ]


def operation_classes(names: Iterable[str]) -> frozenset[type]:
    """Return the classes of operations that functions of `keras.ops` make.

    The sampler knows what these compute by their class. Only the functions are public.
    A name is not enough, since a user's operation, or a layer, may have the same.

    Args:
        names: Names of classes, such as `"Add"` for that of `keras.ops.add`. Those that
            this version of Keras does not have are left out.

    Seen in Keras 3.12.1 to 3.16.0.dev (modules of `keras.src.ops`).
    """
    modules = core, math, nn, numpy
    found = (getattr(module, name, None) for name in names for module in modules)
    return frozenset(kind for kind in found if kind is not None)


# Training.


def scope_of(model: keras.Model) -> tf.distribute.Strategy | None:
    """Return the strategy in whose scope a model was made, or None.

    Without one, `model.distribute_strategy` is the strategy of the present scope.

    Seen in Keras 3.12.1 to 3.16.0.dev (`TensorFlowTrainer._distribute_strategy`).
    """
    return model._distribute_strategy


def scope_of_optimizer(optimizer: Any) -> tf.distribute.Strategy | None:
    """Return the strategy in whose scope an optimizer was made, None for a name.

    An optimizer updates variables under that strategy, but has no public name for it.

    Seen in Keras 3.12.1 to 3.16.0.dev (`TFOptimizer._distribution_strategy`).
    """
    return getattr(optimizer, "_distribution_strategy", None)


def leave_gradients_unsummed(optimizer: keras.optimizers.Optimizer) -> None:
    """Let an optimizer take gradients as summed over the replicas already.

    The optimizers of Keras 2 had an argument for this.

    Seen in Keras 3.12.1 to 3.16.0.dev (`TFOptimizer._all_reduce_sum_gradients`).
    """
    optimizer._all_reduce_sum_gradients = list


def averages_of(optimizer: keras.optimizers.Optimizer) -> list[keras.Variable]:
    """Return the moving averages of the weights, empty without `use_ema`.

    `optimizer.variables` has them among others, under names that may change.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Optimizer._model_variables_moving_average`).
    """
    return list(getattr(optimizer, "_model_variables_moving_average", ()))


def expect_no_averages(swap: keras.callbacks.SwapEMAWeights) -> None:
    """Tell a callback that the model has its own weights now, not the averages.

    It remembers what it did last, and would leave out the next swap of weights that
    were restored meanwhile.

    Seen in Keras 3.12.1 to 3.16.0.dev (`SwapEMAWeights._ema_weights_in_model`).
    """
    swap._ema_weights_in_model = False


def build_for_step(model: keras.Model, batch: Any) -> None:
    """Make all variables of a compiled model that its first step would make.

    Those of metrics are among them. `model.build` makes the weights alone.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Trainer._symbolic_build`).
    """
    model._symbolic_build(data_batch=batch)


def metrics_of_compile(model: keras.Model) -> Any:
    """Return the metric that holds those given to `compile`; None before `compile`.

    Its attribute `built` tells whether a step has updated it. `model.metrics` leaves
    out the metrics in it until then.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Trainer._compile_metrics`).
    """
    return model._compile_metrics


def metrics_given(model: keras.Model) -> list[Any]:
    """Return the metrics that a compiled model was given, before it is built.

    `model.metrics` has them after the first step alone.

    Seen in Keras 3.12.1 to 3.16.0.dev (`CompileMetrics._user_metrics`).
    """
    return keras.tree.flatten(model._compile_metrics._user_metrics)


def set_direction(metric: keras.metrics.Metric, direction: str) -> None:
    """Tell callbacks in auto mode, such as `EarlyStopping`, which values are better.

    Keras' own metrics have a direction; others cannot be given one by argument.

    Args:
        metric: The metric.
        direction: `"up"` if larger values are better, else `"down"`.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Metric._direction`).
    """
    metric._direction = direction


def forget_initial_epoch(model: keras.Model) -> None:
    """Let the next `fit` begin at its argument `initial_epoch`.

    `BackupAndRestore` sets an attribute of the model to the epoch that it restored, and
    does not clear it.

    Seen in Keras 3.12.1 to 3.16.0.dev (`Trainer._initial_epoch`).
    """
    model._initial_epoch = None


def is_evaluation_in_fit(arguments: dict[str, Any]) -> bool:
    """Return whether `evaluate` received these keyword arguments from `fit`.

    `fit` evaluates on data that it has checked and prepared. Nothing else tells this
    call from a user's.

    Seen in Keras 3.12.1 to 3.16.0.dev (argument `_use_cached_eval_dataset`).
    """
    return bool(arguments.get("_use_cached_eval_dataset"))


def dataset_of(epoch_iterator: Any) -> Any:
    """Return the data set that an iterator of `fit` reads in every epoch.

    Args:
        epoch_iterator: What Keras builds a model with, see `GraphModel`.

    Seen in Keras 3.12.1 to 3.16.0.dev (`TFEpochIterator._distributed_dataset`).
    """
    return getattr(epoch_iterator, "_distributed_dataset", None)


def set_dataset_of(epoch_iterator: Any, dataset: Iterable[Any]) -> None:
    """Replace the data set of `dataset_of`.

    `fit` accepts `tf.data.Dataset`s, but not an object that keeps their iterators.

    Seen in Keras 3.12.1 to 3.16.0.dev (`TFEpochIterator._distributed_dataset`).
    """
    epoch_iterator._distributed_dataset = dataset


# TensorFlow.


def is_multi_worker(strategy: tf.distribute.Strategy) -> bool:
    """Return whether the replicas of a strategy are in several processes.

    A `MultiWorkerMirroredStrategy` may have a single worker, and its public properties
    count replicas, not processes.

    Seen in TensorFlow 2.21.0 and 2.22.0rc0 (`StrategyExtended._in_multi_worker_mode`).
    """
    return strategy.extended._in_multi_worker_mode()


def is_for_xla(graph: tf.Graph) -> bool:
    """Return whether XLA will compile a graph that is being traced.

    `jit_compile` of a `tf.function` holds for the functions that it calls too, and
    these cannot see the argument.

    Seen in TensorFlow 2.21.0 and 2.22.0rc0
    (`control_flow_util.GraphOrParentsInXlaContext`).
    """
    return control_flow_util.GraphOrParentsInXlaContext(graph)


def forget_gradients(nodes: Iterable[Any]) -> None:
    """Rename the custom gradients of operations, so that looking one up fails.

    Their names are numbers of this process. In a process that loads the operations
    from a file, the same number may belong to another gradient, and TensorFlow would
    take it. `tf.saved_model.SaveOptions` can save gradients, but not leave out their
    names.

    Args:
        nodes: `NodeDef`s of a SavedModel, changed in place.

    Seen in TensorFlow 2.21.0 and 2.22.0rc0 (attribute `_gradient_op_type` of nodes).
    """
    for node in nodes:
        if "_gradient_op_type" in node.attr:
            node.attr["_gradient_op_type"].s = b"unsaved"
