"""A functional model compiled to a program for one pixel."""

import keras
import tensorflow as tf

from keras_genimg.sampling.causal import (
    bound_arguments,
    causal_level,
    check_step,
    is_causal_layer,
)
from keras_genimg.sampling.fusion import fuse_linear_sums
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
from keras_genimg.sampling.pointwise import pointwise_function
from keras_genimg.sampling.refusal import Refusal, refusal


class Program:
    """The operations of a functional model, in order.

    Nested models are inlined, as are composite layers whose `call` can be traced
    symbolically, such as the residual blocks. A layer that is called twice gives two
    instructions.

    A program built inside a `tf.function` belongs to that graph, because a composite
    layer may compute tensors from its weights there.

    Args:
        model: A functional Keras model whose first input is the image.
        fuse: Whether to replace each sum of linear layers by one product.

    Attributes:
        inputs: `Value`s of the model's inputs, the image first.
        output: `Value` of the likelihood's parameters.
        instructions: List of `Instruction`, in the order of computation.

    Raises:
        ValueError: If a layer above level `FIXED` is neither causal nor pointwise. The
            error names the layer.
    """

    def __init__(self, model, fuse=True):
        self.instructions = []
        self._num_values = 0
        self.inputs = [
            self._value(spec, Level.FIXED if position else Level.PIXEL)
            for position, spec in enumerate(model.inputs)
        ]
        if not is_functional(model):
            raise refusal(model, reason="computes more than its graph")
        (self.output,) = values_in(self._inline(model, self.inputs))
        if fuse:
            self.instructions = fuse_linear_sums(self.instructions, self.output)

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
        # In some layers, it is a positional argument of `call`.
        if bound_arguments(operation, args, kwargs).get("training"):
            reason = "is called with training=True, which the sampler cannot repeat"
            error = refusal(operation, args, kwargs, reason)
            error.depends_on_batch = True  # Batch statistics, or noise.
            raise error
        if level == Level.FIXED:
            return self._instruction(operation, args, kwargs, specs, level)
        if is_sequential(operation):
            return self._append_sequence(operation, args, kwargs)
        if is_functional(operation):
            return self._inline(operation, self._model_inputs(operation, args, kwargs))
        causal = is_causal_layer(operation)
        if causal or not is_composite(operation):
            _check_maps(operation, inputs)
        if causal:
            check_step(operation, args, kwargs)
            level = causal_level(operation, args, kwargs, level)
            return self._instruction(operation, args, kwargs, specs, level)
        pixel = pointwise_function(operation, args, kwargs)
        if pixel is not None:
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
        values = [self._cast(value, model.inputs[0].dtype)]
        for layer in model.layers:
            specs = layer.compute_output_spec(values[0].spec)
            values = tf.nest.flatten(self._append(layer, tuple(values), {}, specs))
        return values

    def _model_inputs(self, model, args, kwargs):
        """Return the inputs of a nested model in its own order, cast to its dtypes."""
        given = bound_arguments(model, args, kwargs)["inputs"]
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
        """Append the operations in the `call` of a composite layer."""
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
        except Exception as error:  # Custom code can raise anything.
            reason = "cannot be traced, since its call fails on symbolic tensors"
            raise refusal(layer, args, kwargs, reason) from error
        try:
            return self._inline(graph, values, layer.compute_dtype)
        except Refusal as error:
            reason = f"is made of layers that cannot all be sampled ({error})"
            raise refusal(layer, args, kwargs, reason) from error

    def _lift(self, leaf):
        """Return a `Value` for a constant map, and other leaves as they are."""
        if isinstance(leaf, Value) or len(getattr(leaf, "shape", ())) != 4:
            return leaf
        spec = keras.KerasTensor(tuple(leaf.shape), getattr(leaf, "dtype", "float32"))
        constant = _Constant(leaf.read() if isinstance(leaf, Weight) else leaf)
        return self._instruction(constant, (), {}, spec, Level.FIXED)[0]


class _Constant(keras.Operation):
    """A constant map in the graph."""

    def __init__(self, tensor):
        super().__init__()
        self.tensor = tensor

    def call(self):
        return tf.convert_to_tensor(self.tensor)


def _check_maps(operation, inputs):
    """Raise an error unless all values combined with the image are maps."""
    for value in inputs:
        if value.level == Level.FIXED and len(value.spec.shape) < 4:
            raise Refusal(
                f"{type(operation).__name__} '{operation.name}' combines the image "
                f"with a tensor of shape {value.spec.shape}, which has no height "
                f"and width. Give it the shape (batch, 1, 1, channels)."
            )
