"""Rewrites of a plan that save operations of a pixel."""

import dataclasses
import functools
import operator
from collections.abc import Callable, Iterable, Sequence
from typing import Any, cast

import keras
import tensorflow as tf

from keras_genimg.keras_private import operation_classes
from keras_genimg.sampling.formulas import AffineWeights, Formula
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.pointwise import Linear
from keras_genimg.sampling.program import Instruction, Value

_ADDITIONS = {keras.layers.Add, *operation_classes(["Add"])}
_RELUS = operation_classes(["Relu"])


def floor(weights: Any, inputs: tf.Tensor) -> tf.Tensor:
    """Return a ReLU of `inputs + bias` without the bias: `max(inputs, -bias)`.

    Args:
        weights: None, and `-bias`, as those of a product without a kernel.
        inputs: `(batch, channels)`.
    """
    _, negative_bias = weights
    return tf.maximum(inputs, negative_bias)


def rewritten(plan: Plan) -> Plan:
    """Return a plan that computes the same in fewer operations, up to rounding.

    For single pixels, the number of operations determines the speed, not their size.
    There are three rewrites, in this order. `W` and `V` are kernels, `b` and `c` are
    biases, and `[x, y]` are joined channels:

    1. A sum of products becomes one product:
       `(x @ W + b) + (y @ V + c) = [x, y] @ [W; V] + (b + c)`.
    2. A product of a sum becomes a product of its terms, if these have fewer channels
       than the sums: `(x + y @ V + c) @ W + b = [x, y] @ [W; V @ W] + (c @ W + b)`.
       Skip connections read sums of what residual blocks add, which are products of
       fewer channels.
    3. A bias is added as late as possible, see `_with_late_biases`:
       `relu(x + c) @ W + b = max(x, -c) @ W + (c @ W + b)`.

    Values that no step reads any more are not computed. All of this changes the
    formulas of weights, which `PlanValues` computes once in a call.

    Args:
        plan: A `Plan` whose user reads the output alone, not the values of layers.
    """
    steps, output = list(plan.steps), plan.output
    steps = _steps_read([_sum_of_products(step, steps) for step in steps], output)
    for position, step in enumerate(steps):
        if isinstance(step.pixel, Linear) and _is_float32(step):
            steps[position] = _product_of_terms(step, steps[:position])
    steps = _with_late_biases(_steps_read(steps, output), output)
    return dataclasses.replace(plan, steps=tuple(steps))


def _steps_read(steps: list[Instruction], output: Value) -> list[Instruction]:
    """Return the instructions that the output depends on."""
    read, kept = {output}, []
    for step in reversed(steps):
        if any(value in read for value in step.outputs):
            read.update(step.inputs)
            kept.insert(0, step)
    return kept


def _sum_of_products(step: Instruction, steps: list[Instruction]) -> Instruction:
    """Return a sum of products as one product, if nothing else reads these."""
    if not _is_sum(step):
        return step
    # A product that another instruction reads, too, would be computed in any case.
    read = [value for each in steps for value in each.inputs]
    by_output = {
        each.outputs[0]: each
        for each in steps
        if _is_product(each)
        and each.level == step.level
        and read.count(each.outputs[0]) == 1
    }
    products = [by_output[value] for value in step.inputs if value in by_output]
    alike = {product.pixel for product in products}
    if len(products) < len(step.inputs) or len(alike) > 1:
        return step
    kernels, biases = zip(*(product.weights for product in products), strict=True)
    biases = [bias for bias in biases if bias is not None]
    weights = _joined(kernels), _sum_of(biases) if biases else None
    inputs = [value for product in products for value in product.inputs]
    return _product(step, inputs, weights, products[0].pixel)


def _product(
    step: Instruction,
    inputs: list[Value],
    weights: tuple[Formula | None, Formula | None],
    linear: Callable[..., Any] | None,
) -> Instruction:
    """Return an instruction that computes the product of joined inputs instead."""
    return dataclasses.replace(
        step,
        args=(inputs,),
        kwargs={},
        pixel=linear,
        weights=AffineWeights(*weights),
    )


def _product_of_terms(step: Instruction, before: list[Instruction]) -> Instruction:
    """Return a product of sums as one of their terms, if these are narrower.

    The skip connections of residual blocks read sums of what the blocks add, which are
    products of fewer channels.
    """
    # Go back through the graph, and replace each term that is a sum or a product by
    # what that reads. `terms` is a dict to keep the order.
    terms, replaced = dict.fromkeys(step.inputs), []
    for maker in reversed(before):
        made = maker.outputs[0]
        is_open = _is_product(maker) or _is_sum(maker)
        is_like = made.level == step.level and _is_float32(maker)
        if made in terms and is_open and is_like:
            del terms[made]
            terms.update(dict.fromkeys(maker.inputs))
            replaced.append(maker)
    if _width(terms) >= _width(step.inputs):
        return step
    kernel, bias = _weights_of(step)
    kernels = {}

    def read(values: Sequence[Value], parts: Sequence[Formula]) -> None:
        for value, part in zip(values, parts, strict=True):
            others = kernels.get(value)
            # `x @ V + x @ W` is `x @ (V + W)`.
            if others is not None:
                part = Formula(tf.add, (part, others))
            kernels[value] = part

    def read_joined(values: Sequence[Value], kernel: Formula) -> None:
        sizes = [value.spec.shape[-1] for value in values]
        if len(values) == 1:
            read(values, [kernel])
            return
        split = Formula(
            functools.partial(tf.split, num_or_size_splits=sizes), (kernel,)
        )
        parts = [Formula(operator.itemgetter(n), (split,)) for n in range(len(sizes))]
        read(values, parts)

    read_joined(step.inputs, kernel)
    for maker in replaced:
        kernel = kernels.pop(maker.outputs[0])
        if _is_product(maker):
            weights, of_maker = _weights_of(maker)
            bias = _plus(bias, of_maker, kernel)
            read_joined(maker.inputs, Formula(tf.matmul, (weights, kernel)))
        else:
            read(maker.inputs, [kernel] * len(maker.inputs))
    kernel = _joined([kernels[value] for value in terms])
    return _product(step, list(terms), (kernel, bias), step.pixel)


def _with_late_biases(steps: list[Instruction], output: Value) -> list[Instruction]:
    """Let products leave out biases that later products can add to their own.

    A value `x + b` is then computed as `x`. A sum needs no bias of its terms, nor does
    a ReLU, since `relu(x + b) = max(x, -b) + b`. The product that reads the result adds
    `b @ kernel` to its bias.
    """
    # An entry is True if all readers of a value can add its bias later.
    can_wait = {output: False}
    for step in reversed(steps):
        waits = isinstance(step.pixel, Linear)
        if not waits and (_is_sum(step) or _is_relu(step.operation)):
            waits = can_wait[step.outputs[0]]
        for value in step.inputs:
            before = can_wait.get(value, True)
            can_wait[value] = before and waits and _is_float32(step)
    late, changed = {}, []
    for step in steps:
        made = step.outputs[0]
        given = [late[value] for value in step.inputs if value in late]
        if isinstance(step.pixel, Linear):
            kernel, bias = _weights_of(step)
            if given:
                parts = [
                    late[value] if value in late else _zeros(value.spec.shape[-1])
                    for value in step.inputs
                ]
                bias = _plus(bias, _joined(parts), kernel)
            if can_wait[made] and step.pixel.is_product and bias is not None:
                late[made], bias = bias, None
            step = dataclasses.replace(step, weights=AffineWeights(kernel, bias))
        elif given:
            late[made] = _sum_of(given)
            if _is_relu(step.operation):
                weights = AffineWeights(None, late[made])
                step = dataclasses.replace(step, pixel=floor, weights=weights)
        changed.append(step)
    return changed


def _weights_of(step: Instruction) -> tuple[Formula, Formula | None]:
    """Return the kernel and the negative bias of a `Linear`, which has a kernel."""
    return cast("tuple[Formula, Formula | None]", step.weights)


def _plus(
    bias: Formula | None, more: Formula | None, kernel: Formula
) -> Formula | None:
    """Return a bias plus `more @ kernel`; None stands for zeros."""
    if more is None:
        return bias
    product = functools.partial(tf.linalg.matvec, transpose_a=True)
    more = Formula(product, (kernel, more))
    return more if bias is None else Formula(tf.add, (bias, more))


def _joined(formulas: Sequence[Formula]) -> Formula:
    """Return the formula of tensors that are concatenated on the first axis."""
    return Formula(lambda *tensors: tf.concat(tensors, axis=0), tuple(formulas))


def _sum_of(formulas: Sequence[Formula]) -> Formula:
    return Formula(lambda *tensors: tf.add_n(tensors), tuple(formulas))


def _zeros(size: int) -> Formula:
    return Formula(lambda: tf.zeros(size))


def _width(values: Iterable[Value]) -> int:
    return sum(value.spec.shape[-1] for value in values)


def _is_product(step: Instruction) -> bool:
    return isinstance(step.pixel, Linear) and step.pixel.is_product


def _is_float32(step: Instruction) -> bool:
    values = *step.inputs, *step.outputs
    return all(value.spec.dtype == "float32" for value in values)


def _is_sum(step: Instruction) -> bool:
    """Whether an instruction adds values of as many channels, and nothing else."""
    is_add = type(step.operation) in _ADDITIONS
    given = tf.nest.flatten((step.args, step.kwargs))
    widths = {value.spec.shape[-1] for value in step.inputs}
    return is_add and len(widths) == 1 and len(given) == len(step.inputs)


def _is_relu(operation: keras.Operation) -> bool:
    if type(operation) is keras.layers.ReLU:
        options = operation.max_value, operation.negative_slope, operation.threshold
        return options == (None, 0, 0)
    if type(operation) is keras.layers.Activation:
        return operation.activation is keras.activations.relu
    return type(operation) in _RELUS
