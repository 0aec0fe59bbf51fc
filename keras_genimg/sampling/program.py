"""A functional model as a list of instructions, split by what the image decides."""

import dataclasses

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.layers.causal_layer import CausalLayer
from keras_genimg.sampling.pointwise import is_linear, linear_sum, pointwise_function


@dataclasses.dataclass(frozen=True)
class Value:
    """A tensor of the graph.

    Attributes:
        index: Its number.
        depends: Whether the image decides it.
        spec: Its `keras.KerasTensor`.
    """

    index: int
    depends: bool
    spec: keras.KerasTensor


@dataclasses.dataclass(frozen=True)
class Instruction:
    """One operation of the graph, with `Value`s where it takes tensors.

    Attributes:
        operation: The Keras layer or operation.
        args: Its positional arguments.
        kwargs: Its keyword arguments.
        outputs: The `Value`s it computes.
        pixel: For an operation that the image decides and that acts on each pixel
            alone, what `pointwise_function` returned.
    """

    operation: object
    args: tuple
    kwargs: dict
    outputs: list
    pixel: object = None

    @property
    def depends(self):
        """Whether the image decides its outputs."""
        return self.outputs[0].depends

    @property
    def inputs(self):
        """The `Value`s among the arguments."""
        leaves = tf.nest.flatten((self.args, self.kwargs))
        return [leaf for leaf in leaves if isinstance(leaf, Value)]


class Program:
    """What a functional model computes, in order.

    Nested functional models are inlined, and so are layers made of other layers whose
    `call` can be traced symbolically, such as the residual blocks. A layer that occurs
    twice gives two instructions.

    Args:
        model: A functional Keras model whose first input is the image.

    Attributes:
        inputs: `Value`s of the model's inputs, the image first.
        output: `Value` of the likelihood's parameters.
        instructions: List of `Instruction`, in the order of computation.

    Raises:
        ValueError: If the image decides the output of a layer that is neither causal
            nor pointwise; the layer is named.
    """

    def __init__(self, model):
        self.instructions = []
        self._num_values = 0
        self.inputs = [
            self._value(spec, depends=position == 0)
            for position, spec in enumerate(model.inputs)
        ]
        self.output = self._inline(model, self.inputs)[0]
        self._fuse_linear_sums()

    def _value(self, spec, depends):
        self._num_values += 1
        return Value(self._num_values - 1, depends, spec)

    def _inline(self, model, values):
        """Append the operations of a functional model; return its outputs."""
        # Private, and the only way to walk a graph with another meaning of its nodes.
        outputs = model._run_through_graph(
            tf.nest.flatten(values),
            operation_fn=lambda operation: (
                lambda *args, **kwargs: self._append(operation, args, kwargs)
            ),
        )
        return tf.nest.flatten(outputs)

    def _append(self, operation, args, kwargs):
        inputs = Instruction(operation, args, kwargs, []).inputs
        if isinstance(operation, keras.Model) and hasattr(operation, "inputs"):
            values = self._inline(operation, args[0])
            return values if len(values) > 1 else values[0]
        depends = any(value.depends for value in inputs)
        causal = isinstance(operation, CausalLayer) and not is_linear(operation)
        pixel = None
        if depends and not causal:
            pixel = pointwise_function(operation, args, kwargs)
            if pixel is None:
                graph = _symbolic_graph(operation, inputs)
                if graph is None:
                    raise ValueError(_refusal(operation, args, kwargs))
                try:
                    return self._inline(graph, inputs)[0]
                except ValueError as error:
                    raise ValueError(_refusal(operation, args, kwargs)) from error
        specs = _output_specs(operation, args, kwargs)
        outputs = [self._value(spec, depends) for spec in specs]
        self.instructions.append(Instruction(operation, args, kwargs, outputs, pixel))
        return outputs if len(outputs) > 1 else outputs[0]

    def _fuse_linear_sums(self):
        """Make sums of linear layers, such as skip connections, one product each."""
        uses = [v.index for step in self.instructions for v in step.inputs]
        makers = {
            step.outputs[0].index: step
            for step in self.instructions
            if step.depends
            and is_linear(step.operation)
            and step.operation.activation in (None, keras.activations.linear)
            and uses.count(step.outputs[0].index) == 1
        }
        for position, step in enumerate(self.instructions):
            terms = [makers.get(value.index) for value in step.inputs]
            is_sum = isinstance(step.operation, keras.layers.Add) and all(terms)
            if not is_sum or len({t.operation.compute_dtype for t in terms}) > 1:
                continue
            self.instructions[position] = dataclasses.replace(
                step,
                args=([term.inputs[0] for term in terms],),
                pixel=linear_sum([term.operation for term in terms]),
            )
            self.instructions = [
                step for step in self.instructions if step not in terms
            ]
            return self._fuse_linear_sums()


def _output_specs(operation, args, kwargs):
    args, kwargs = tf.nest.map_structure(
        lambda leaf: leaf.spec if isinstance(leaf, Value) else leaf, (args, kwargs)
    )
    return tf.nest.flatten(operation.compute_output_spec(*args, **kwargs))


def _symbolic_graph(layer, inputs):
    """Return a layer of layers as a functional model, or None if it is none."""
    if not isinstance(layer, keras.Layer) or not layer._layers:
        return None
    specs = [keras.Input(batch_shape=v.spec.shape, dtype=v.spec.dtype) for v in inputs]
    try:
        return keras.Model(specs, layer.call(*specs))
    except Exception:  # Its call takes tensors only, or more than tensors.
        return None


def _refusal(operation, args, kwargs):
    kind = type(operation).__name__
    advice = {
        "Conv2D": "use MaskedConv2D instead",
        "DepthwiseConv2D": "use MaskedConv2D instead",
        "SeparableConv2D": "use MaskedConv2D instead",
        "BatchNormalization": "call it with training=False, or use "
        "LayerNormalization(axis=-1)",
        "Flatten": "keep the map's axes",
        "Reshape": "keep the map's axes",
    }.get(kind, "use layers that are")
    shapes = [
        leaf.spec.shape if isinstance(leaf, Value) else np.shape(leaf)
        for leaf in tf.nest.flatten((args, kwargs))
        if isinstance(leaf, (Value, np.ndarray))
    ]
    return (
        f"The incremental sampler evaluates an image pixel by pixel, but {kind} "
        f"'{operation.name}' is neither causal nor pointwise: {advice}, implement the "
        f"protocol of keras_genimg.layers.CausalLayer, or draw with "
        f"method='fixed_point', which needs only the forward pass. Received: inputs of "
        f"shape {shapes}"
    )
