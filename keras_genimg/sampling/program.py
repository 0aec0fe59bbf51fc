"""A functional model compiled to a program for one pixel."""

import dataclasses
import inspect

import keras
import tensorflow as tf

from keras_genimg.causality import is_causal
from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.sampling.graph import (
    is_composite,
    is_functional,
    is_sequential,
    walk,
)
from keras_genimg.sampling.instructions import (
    Instruction,
    Level,
    Value,
    Weight,
    values_in,
)
from keras_genimg.sampling.linear import has_activation, is_linear, linear_function
from keras_genimg.sampling.pointwise import pointwise_function
from keras_genimg.sampling.refusal import Refusal, refusal
from keras_genimg.sampling.trust import is_known, overrides

_ACTIVATION = (
    "has an activation that is not made of elementwise operations of keras.ops; call "
    "it after the layer"
)
# Methods of `CausalLayer` that must together give what `call` gives.
_PROTOCOL = {
    "prepare",
    "initial_cache",
    "begin_row",
    "step",
    "end_row",
    "end_rows",
    "sees_current_row",
}


def program_of(model, fuse=True):
    """Return the `Program` of an `AutoregressiveModel`.

    Args:
        model: An `AutoregressiveModel`.
        fuse: As in `Program`.

    Raises:
        ValueError: As `Program`. If the model is causal, the text recommends the
            fixed-point sampler.
    """
    try:
        return Program(model, fuse)
    except Refusal as error:
        with tf.init_scope():
            causal = not error.depends_on_batch and is_causal(model)
        if not causal:
            raise
        raise Refusal(
            f"{error}. The model is causal, so method='fixed_point' draws from it as "
            f"it is."
        ) from error


class Program:
    """What a functional model computes, in order.

    Nested models are inlined, and so are layers made of other layers whose `call` can
    be traced symbolically, such as the residual blocks. A layer that occurs twice gives
    two instructions.

    Built inside a `tf.function`, a program belongs to its graph: what a composite layer
    computes from its weights is computed there too.

    Args:
        model: A functional Keras model whose first input is the image.
        fuse: Whether to make sums of linear layers one product each.

    Attributes:
        inputs: `Value`s of the model's inputs, the image first.
        output: `Value` of the likelihood's parameters.
        instructions: List of `Instruction`, in the order of computation.
        operations: List of all operations met, also those made of others.
        foreign: Names of layers, operations and activations that are neither Keras' nor
            the library's.

    Raises:
        ValueError: If a layer above level `FIXED` is neither causal nor pointwise; the
            layer is named.
    """

    def __init__(self, model, fuse=True):
        self.instructions = []
        self.operations = []
        self.foreign = []
        self._num_values = 0
        self.inputs = [
            self._value(spec, Level.FIXED if position else Level.PIXEL)
            for position, spec in enumerate(model.inputs)
        ]
        if not is_functional(model):
            raise refusal(model, reason="computes more than its graph")
        (self.output,) = values_in(self._inline(model, self.inputs))
        if fuse:
            self._fuse_linear_sums()

    def _value(self, spec, level):
        self._num_values += 1
        return Value(self._num_values - 1, level, spec)

    def _inline(self, model, values, dtype=None):
        """Append the operations of a functional model; return its outputs' structure.

        Args:
            model: A functional model.
            values: Its inputs, in order.
            dtype: Compute dtype of the layer whose `call` the model traces, if it does.
        """

        def weight(leaf):
            return Weight(leaf, dtype) if isinstance(leaf, keras.Variable) else leaf

        def call(operation, args, kwargs, specs):
            if dtype is not None:
                args, kwargs = tf.nest.map_structure(weight, (args, kwargs))
            return tf.nest.flatten(self._append(operation, args, kwargs, specs))

        return walk(model, values, call)

    def _append(self, operation, args, kwargs, specs):
        """Append an operation; return its output values, flat or in a structure."""
        inputs = values_in((args, kwargs))
        level = max((value.level for value in inputs), default=Level.FIXED)
        if level != Level.FIXED:
            args, kwargs = tf.nest.map_structure(self._lift, (args, kwargs))
        self.operations.append(operation)
        if not is_known(type(operation)) or overrides(operation):
            self.foreign.append(operation.name)
        if level == Level.FIXED:
            return self._instruction(operation, args, kwargs, specs, level)
        # Some layers' `call` takes it by position.
        if _bound(operation, args, kwargs).get("training"):
            reason = "is called with training=True, which the sampler cannot repeat"
            error = refusal(operation, args, kwargs, reason)
            error.depends_on_batch = True  # Batch statistics, or noise.
            raise error
        if is_sequential(operation):
            return self._append_sequence(operation, args, kwargs)
        if is_functional(operation):
            return self._inline(operation, self._model_inputs(operation, args, kwargs))
        causal = _is_causal(operation)
        if causal or not is_composite(operation):
            _check_maps(operation, inputs)
        if causal:
            _check_step(operation, args, kwargs)
            self._check_activation(operation, args, kwargs)
            # Stepped along a row, even if the row's inputs are known before it.
            level = Level.PIXEL if operation.sees_current_row else Level.ROWS
            return self._instruction(operation, args, kwargs, specs, level)
        pixel = pointwise_function(operation, args, kwargs)
        if pixel is not None:
            self._check_activation(operation, args, kwargs)
            return self._instruction(operation, args, kwargs, specs, level, pixel)
        if not is_composite(operation):
            raise refusal(operation, args, kwargs)
        return self._append_composite(operation, args, kwargs)

    def _instruction(self, operation, args, kwargs, specs, level, pixel=None):
        outputs = [self._value(spec, level) for spec in keras.tree.flatten(specs)]
        self.instructions.append(Instruction(operation, args, kwargs, outputs, pixel))
        return outputs

    def _append_sequence(self, model, args, kwargs):
        (value,) = values_in((args, kwargs))
        values = [value]
        for layer in model.layers:
            specs = layer.compute_output_spec(values[0].spec)
            values = tf.nest.flatten(self._append(layer, tuple(values), {}, specs))
        return values

    def _model_inputs(self, model, args, kwargs):
        """Return the inputs of a nested model in its own order, cast to its dtypes."""
        given = _bound(model, args, kwargs)["inputs"]
        if isinstance(given, dict) and not isinstance(model.input, dict):
            given = [given[spec.name] for spec in model.inputs]
        values = keras.tree.flatten(given)
        for value, spec in zip(values, model.inputs, strict=True):
            if not isinstance(value, Value) or len(value.spec.shape) != len(spec.shape):
                reason = f"takes inputs of the shapes {[x.shape for x in model.inputs]}"
                raise refusal(model, args, kwargs, reason)
        return [
            self._cast(value, spec.dtype)
            for value, spec in zip(values, model.inputs, strict=True)
        ]

    def _cast(self, value, dtype):
        if value.spec.dtype == dtype:
            return value
        spec = keras.Input(batch_shape=value.spec.shape, dtype=value.spec.dtype)
        cast = keras.Model(spec, keras.ops.cast(spec, dtype))
        return self._inline(cast, [value])

    def _append_composite(self, layer, args, kwargs):
        """Append the operations that the `call` of a layer of layers is made of."""
        values = values_in((args, kwargs))
        autocast = getattr(layer, "autocast", True)
        values = [
            self._cast(value, layer.compute_dtype)
            if autocast and "float" in value.spec.dtype
            else value
            for value in values
        ]
        specs = [
            keras.Input(batch_shape=value.spec.shape, dtype=value.spec.dtype)
            for value in values
        ]
        in_order = iter(specs)
        args, kwargs = tf.nest.map_structure(
            lambda leaf: next(in_order) if isinstance(leaf, Value) else leaf,
            (args, kwargs),
        )
        try:
            graph = keras.Model(specs, layer.call(*args, **kwargs))
        except Exception as error:  # Whatever a `call` does with symbolic tensors.
            reason = "cannot be traced, since its call fails on symbolic tensors"
            raise refusal(layer, args, kwargs, reason) from error
        try:
            return self._inline(graph, values, layer.compute_dtype)
        except Refusal as error:
            reason = f"is made of layers that cannot all be sampled ({error})"
            raise refusal(layer, args, kwargs, reason) from error

    def _check_activation(self, operation, args, kwargs):
        """Raise unless the activation of a known layer acts on each number alone."""
        activation = getattr(operation, "activation", None)
        if overrides(operation) or getattr(operation, "pointwise", False):
            return  # Its own methods apply the activation.
        if not callable(activation) or _is_known_function(activation):
            return
        self.foreign.append(operation.name)
        value = values_in((args, kwargs))[0]
        try:
            acts_on_pixels = _is_elementwise(activation, value.spec)
        except Exception as error:  # Whatever it does with symbolic tensors.
            raise refusal(operation, args, kwargs, _ACTIVATION) from error
        if not acts_on_pixels:
            raise refusal(operation, args, kwargs, _ACTIVATION)

    def _lift(self, leaf):
        """Return a `Value` for a constant map, and other leaves as they are."""
        if isinstance(leaf, Value) or len(getattr(leaf, "shape", ())) != 4:
            return leaf
        spec = keras.KerasTensor(tuple(leaf.shape), getattr(leaf, "dtype", "float32"))
        constant = _Constant(leaf.read() if isinstance(leaf, Weight) else leaf)
        return self._instruction(constant, (), {}, spec, Level.FIXED)[0]

    def _fuse_linear_sums(self):
        """Make sums of linear layers, such as skip connections, one product each."""
        uses = [v.index for step in self.instructions for v in step.inputs]
        makers = {
            step.outputs[0].index: step
            for step in self.instructions
            if step.pixel is not None
            and isinstance(step.operation, keras.Layer)
            and is_linear(step.operation)
            and not has_activation(step.operation)
            and not overrides(step.operation)
            and not getattr(step.operation, "pointwise", False)
            and uses.count(step.outputs[0].index) == 1
            and step.outputs[0] is not self.output
        }
        for position, step in enumerate(self.instructions):
            terms = [makers.get(value.index) for value in step.inputs]
            is_sum = (
                isinstance(step.operation, keras.layers.Add)
                and not overrides(step.operation)
                and all(terms)
                and len({t.outputs[0].spec.shape[-1] for t in terms if t}) == 1
            )
            if not is_sum or len({t.operation.compute_dtype for t in terms}) > 1:
                continue
            self.instructions[position] = dataclasses.replace(
                step,
                args=([term.inputs[0] for term in terms],),
                kwargs={},
                pixel=linear_function([term.operation for term in terms]),
            )
            self.instructions = [
                step for step in self.instructions if step not in terms
            ]
            return self._fuse_linear_sums()


class _Constant(keras.Operation):
    """A map that the graph holds as a constant."""

    def __init__(self, tensor):
        super().__init__()
        self.tensor = tensor

    def call(self):
        return tf.convert_to_tensor(self.tensor)


def _is_causal(operation):
    """Return whether a layer's methods for the sampler can be trusted.

    A subclass that replaces what a causal layer computes must replace some of the
    methods for the sampler too.
    """
    if not isinstance(operation, CausalLayer) or getattr(operation, "pointwise", False):
        return False
    replaced = overrides(operation)
    if replaced and not replaced & _PROTOCOL:
        return False
    # As one product it takes fewer operations a pixel.
    return bool(replaced) or not (
        isinstance(operation, keras.layers.Conv2D) and is_linear(operation)
    )


def _bound(operation, args, kwargs):
    """Return the arguments of an operation's `call` by name."""
    signature = inspect.signature(operation.call)
    arguments = dict(signature.bind(*args, **kwargs).arguments)
    for name, parameter in signature.parameters.items():
        if parameter.kind == inspect.Parameter.VAR_KEYWORD:
            arguments.update(arguments.pop(name, {}))
    return arguments


def _check_maps(operation, inputs):
    """Raise unless all that meets the image is a map."""
    for value in inputs:
        if value.level == Level.FIXED and len(value.spec.shape) < 4:
            raise Refusal(
                f"{type(operation).__name__} '{operation.name}' combines the image "
                f"with a tensor of shape {value.spec.shape}, which has no height "
                f"and width. Give it the shape (batch, 1, 1, channels)."
            )


def _check_step(layer, args, kwargs):
    """Raise unless the `step` of a causal layer takes what its `call` is given."""
    inputs, others = step_arguments(layer, args, kwargs)
    try:
        inspect.signature(layer.step).bind((), (), (), inputs, **others)
    except TypeError as error:
        reason = f"is called with arguments that its `step` does not take ({error})"
        raise refusal(layer, args, kwargs, reason) from error


def step_arguments(layer, args, kwargs):
    """Return what the `step` of a causal layer takes: the inputs, others by name.

    Args:
        layer: A `CausalLayer`.
        args: Positional arguments of its `call`.
        kwargs: Keyword arguments of its `call`.
    """
    (_, inputs), *others = _bound(layer, args, kwargs).items()
    others = dict(others)
    for name in ("training", "mask"):
        if others.get(name) is None or others.get(name) is False:
            others.pop(name, None)
    return inputs, others


def _is_known_function(activation):
    return inspect.isroutine(activation) and (
        is_known(activation) and not inspect.ismethod(activation)
    )


def _is_elementwise(activation, spec):
    """Return whether a function is made of elementwise operations of `keras.ops`."""
    spec = keras.Input(batch_shape=spec.shape, dtype=spec.dtype)
    found = []

    def call(operation, args, kwargs, specs):
        pixel = None
        if not isinstance(operation, keras.Layer):
            pixel = pointwise_function(operation, args, kwargs)
        found.append(pixel is not None)
        return [Value(0, Level.PIXEL, output) for output in keras.tree.flatten(specs)]

    walk(keras.Model(spec, activation(spec)), [Value(0, Level.PIXEL, spec)], call)
    return all(found)
