"""Algebra that saves operations of a pixel, where the number of them counts.

Biases are negated throughout, see `prepare_affine`.
"""

import copy
import dataclasses

import keras
import tensorflow as tf

from keras_genimg.sampling.pointwise import Linear


class Floor:
    """A ReLU of `inputs + bias`, without the bias: `max(inputs, -bias)`.

    Args:
        negative_bias: `(channels,)`.
    """

    def __init__(self, negative_bias):
        self.weights = None, negative_bias

    def __call__(self, inputs):
        return tf.maximum(inputs, self.weights[1])


def simplified(steps, functions, output):
    """Return steps that compute the same in fewer operations, up to rounding.

    Args:
        steps: All `Instruction`s above level `FIXED`, in order.
        functions: Dict of their functions of a pixel by id, which is changed.
        output: `Value` of the program's output.
    """
    steps = list(steps)
    for position, step in enumerate(steps):
        if _is_sum(step):
            step = _sum_of_products(step, steps, functions)
        if isinstance(functions.get(id(step)), Linear) and _is_float32(step):
            step = _product_of_terms(step, steps[:position], functions)
        steps[position] = step
    steps = _steps_read(steps, output)
    _delay_biases(steps, functions, output)
    return steps


def _steps_read(steps, output):
    """Return the instructions that the output depends on."""
    read, kept = {output.index}, []
    for step in reversed(steps):
        if any(value.index in read for value in step.outputs):
            read.update(value.index for value in step.inputs)
            kept.insert(0, step)
    return kept


def _sum_of_products(step, steps, functions):
    """Return a sum of products as one product, if nothing else reads these."""
    read = [value.index for each in steps for value in each.inputs]
    makers = {each.outputs[0].index: each for each in steps if each.level == step.level}
    makers = [makers.get(value.index) for value in step.inputs]
    products = [functions.get(id(maker)) for maker in makers]
    if any(
        not isinstance(product, Linear) or product.activation for product in products
    ):
        return step
    is_read_once = all(read.count(value.index) == 1 for value in step.inputs)
    if not is_read_once or len({product.dtype for product in products}) > 1:
        return step
    kernels, biases = zip(*(product.weights for product in products), strict=True)
    biases = [bias for bias in biases if bias is not None]
    weights = tf.concat(kernels, axis=0), tf.add_n(biases) if biases else None
    inputs = [value for maker in makers for value in maker.inputs]
    return _product(step, inputs, weights, functions, products[0])


def _product(step, inputs, weights, functions, like):
    """Return an instruction that computes the product of joined inputs instead."""
    product = dataclasses.replace(step, args=(inputs,), kwargs={})
    functions[id(product)] = copy.copy(like)
    functions[id(product)].weights = weights
    return product


def _product_of_terms(step, before, functions):
    """Return a product of sums as one of their terms, if these are narrower.

    The skip connections of residual blocks read sums of what the blocks add, which are
    products of fewer channels.
    """
    product = functions[id(step)]
    kernel, bias = product.weights
    kernels = {}  # By index of value.

    def read(values, kernel):
        sizes = [value.spec.shape[-1] for value in values]
        for value, part in zip(values, tf.split(kernel, sizes), strict=True):
            _, others = kernels.get(value.index, (value, 0.0))
            kernels[value.index] = value, part + others

    read(step.inputs, kernel)
    for maker in reversed(before):
        made, function = maker.outputs[0], functions.get(id(maker))
        if made.index not in kernels or made.level != step.level:
            continue
        if isinstance(function, Linear) and not function.activation:
            _, kernel = kernels.pop(made.index)
            weights, of_maker = function.weights
            read(maker.inputs, weights @ kernel)
            bias = _plus(bias, of_maker, kernel)
        elif _is_sum(maker) and _is_float32(maker):
            _, kernel = kernels.pop(made.index)
            read(maker.inputs, tf.concat([kernel] * len(maker.inputs), axis=0))
    values = [value for value, _ in kernels.values()]
    widths = [sum(x.spec.shape[-1] for x in each) for each in (values, step.inputs)]
    if widths[0] >= widths[1]:
        return step
    kernel = tf.concat([part for _, part in kernels.values()], axis=0)
    return _product(step, values, (kernel, bias), functions, product)


def _delay_biases(steps, functions, output):
    """Let products leave out biases that later products can add to their own.

    A value `x + b` is then computed as `x`. A sum needs no bias of its terms, nor does
    a ReLU, since `relu(x + b) = max(x, -b) + b`. The product that reads the result adds
    `b @ kernel` to its bias.
    """
    # Whether all that reads a value can do without its bias.
    can_wait = {output.index: False}
    for step in reversed(steps):
        waits = isinstance(functions.get(id(step)), Linear)
        if not waits and (_is_sum(step) or _is_relu(step.operation)):
            waits = can_wait[step.outputs[0].index]
        for value in step.inputs:
            before = can_wait.get(value.index, True)
            can_wait[value.index] = before and waits and _is_float32(step)
    late = {}
    for step in steps:
        function, made = functions.get(id(step)), step.outputs[0].index
        given = [late[value.index] for value in step.inputs if value.index in late]
        if isinstance(function, Linear):
            kernel, bias = function.weights
            if given:
                parts = [
                    late.get(value.index, tf.zeros(value.spec.shape[-1]))
                    for value in step.inputs
                ]
                bias = _plus(bias, tf.concat(parts, axis=0), kernel)
            waits = can_wait[made] and not function.activation
            if waits and bias is not None:
                late[made], bias = bias, None
            function.weights = kernel, bias
        elif given:
            late[made] = tf.add_n(given)
            if _is_relu(step.operation):
                functions[id(step)] = Floor(late[made])


def _plus(bias, more, kernel):
    """Return a bias plus `more @ kernel`; None stands for zeros."""
    if more is None:
        return bias
    more = tf.linalg.matvec(kernel, more, transpose_a=True)
    return more if bias is None else bias + more


def _is_float32(step):
    values = *step.inputs, *step.outputs
    return all(value.spec.dtype == "float32" for value in values)


def _is_sum(step):
    """Whether an instruction adds values of as many channels, and nothing else."""
    is_add = type(step.operation) is keras.layers.Add
    if not isinstance(step.operation, keras.Layer):
        is_add = type(step.operation).__name__ == "Add"
    given = tf.nest.flatten((step.args, step.kwargs))
    widths = {value.spec.shape[-1] for value in step.inputs}
    return is_add and len(widths) == 1 and len(given) == len(step.inputs)


def _is_relu(operation):
    if type(operation) is keras.layers.ReLU:
        options = operation.max_value, operation.negative_slope, operation.threshold
        return options == (None, 0, 0)
    if type(operation) is keras.layers.Activation:
        return operation.activation is keras.activations.relu
    return type(operation).__name__ == "Relu" and not isinstance(operation, keras.Layer)
