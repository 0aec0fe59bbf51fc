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
    steps = [_sum_of_products(step, steps, functions) for step in steps]
    steps = _steps_read(steps, output)
    for position, step in enumerate(steps):
        if isinstance(functions.get(id(step)), Linear) and _is_float32(step):
            steps[position] = _product_of_terms(step, steps[:position], functions)
    steps = _steps_read(steps, output)
    _delay_biases(steps, functions, output)
    return steps


def _steps_read(steps, output):
    """Return the instructions that the output depends on."""
    read, kept = {output}, []
    for step in reversed(steps):
        if any(value in read for value in step.outputs):
            read.update(step.inputs)
            kept.insert(0, step)
    return kept


def _sum_of_products(step, steps, functions):
    """Return a sum of products as one product, if nothing else reads these."""
    if not _is_sum(step):
        return step
    read = [value for each in steps for value in each.inputs]
    by_output = {
        each.outputs[0]: each
        for each in steps
        if _is_product(each, functions)
        and each.level == step.level
        and read.count(each.outputs[0]) == 1
    }
    makers = [by_output[value] for value in step.inputs if value in by_output]
    if len(makers) < len(step.inputs):
        return step
    products = [functions[id(maker)] for maker in makers]
    if len({product.dtype for product in products}) > 1:
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
    terms, replaced = dict.fromkeys(step.inputs), []
    for maker in reversed(before):
        made = maker.outputs[0]
        is_open = _is_product(maker, functions) or _is_sum(maker)
        is_like = made.level == step.level and _is_float32(maker)
        if made in terms and is_open and is_like:
            del terms[made]
            terms.update(dict.fromkeys(maker.inputs))
            replaced.append(maker)
    if _width(terms) >= _width(step.inputs):
        return step
    product = functions[id(step)]
    kernel, bias = product.weights
    kernels = {}

    def read_one(value, kernel):
        others = kernels.get(value)
        kernels[value] = kernel if others is None else kernel + others

    def read(values, kernel):
        sizes = [value.spec.shape[-1] for value in values]
        parts = tf.split(kernel, sizes) if len(values) > 1 else [kernel]
        for value, part in zip(values, parts, strict=True):
            read_one(value, part)

    read(step.inputs, kernel)
    for maker in replaced:
        kernel = kernels.pop(maker.outputs[0])
        if _is_product(maker, functions):
            weights, of_maker = functions[id(maker)].weights
            bias = _plus(bias, of_maker, kernel)
            read(maker.inputs, weights @ kernel)
        else:
            for value in maker.inputs:
                read_one(value, kernel)
    kernel = tf.concat([kernels[value] for value in terms], axis=0)
    return _product(step, list(terms), (kernel, bias), functions, product)


def _delay_biases(steps, functions, output):
    """Let products leave out biases that later products can add to their own.

    A value `x + b` is then computed as `x`. A sum needs no bias of its terms, nor does
    a ReLU, since `relu(x + b) = max(x, -b) + b`. The product that reads the result adds
    `b @ kernel` to its bias.
    """
    # Whether all that reads a value can do without its bias.
    can_wait = {output: False}
    for step in reversed(steps):
        waits = isinstance(functions.get(id(step)), Linear)
        if not waits and (_is_sum(step) or _is_relu(step.operation)):
            waits = can_wait[step.outputs[0]]
        for value in step.inputs:
            before = can_wait.get(value, True)
            can_wait[value] = before and waits and _is_float32(step)
    late = {}
    for step in steps:
        function, made = functions.get(id(step)), step.outputs[0]
        given = [late[value] for value in step.inputs if value in late]
        if isinstance(function, Linear):
            kernel, bias = function.weights
            if given:
                parts = [
                    late.get(value, tf.zeros(value.spec.shape[-1]))
                    for value in step.inputs
                ]
                bias = _plus(bias, tf.concat(parts, axis=0), kernel)
            waits = can_wait[made] and not function.activation
            if waits and bias is not None:
                late[made], bias = bias, None
            function.weights = kernel, bias
        elif given:
            late[made] = tf.add_n(given) if len(given) > 1 else given[0]
            if _is_relu(step.operation):
                functions[id(step)] = Floor(late[made])


def _plus(bias, more, kernel):
    """Return a bias plus `more @ kernel`; None stands for zeros."""
    if more is None:
        return bias
    more = tf.linalg.matvec(kernel, more, transpose_a=True)
    return more if bias is None else bias + more


def _width(values):
    return sum(value.spec.shape[-1] for value in values)


def _is_product(step, functions):
    function = functions.get(id(step))
    return isinstance(function, Linear) and not function.activation


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
