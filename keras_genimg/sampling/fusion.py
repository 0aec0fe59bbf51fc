"""Fusion of instructions."""

import dataclasses

import keras

from keras_genimg.sampling.linear import has_activation, is_linear, linear_function


def fuse_linear_sums(instructions, output):
    """Replace each sum of linear layers, such as skip connections, by one product.

    Args:
        instructions: List of `Instruction`.
        output: `Value` that must be kept.

    Returns:
        Equivalent list of `Instruction`.
    """
    uses = [v.index for step in instructions for v in step.inputs]
    makers = {
        step.outputs[0].index: step
        for step in instructions
        if step.pixel is not None
        and isinstance(step.operation, keras.Layer)
        and is_linear(step.operation)
        and not has_activation(step.operation)
        and uses.count(step.outputs[0].index) == 1
        and step.outputs[0] is not output
    }
    for position, step in enumerate(instructions):
        terms = [makers[v.index] for v in step.inputs if v.index in makers]
        is_sum = (
            type(step.operation) is keras.layers.Add
            and len(terms) == len(step.inputs)
            and len({t.outputs[0].spec.shape[-1] for t in terms}) == 1
        )
        if not is_sum or len({t.operation.compute_dtype for t in terms}) > 1:
            continue
        instructions[position] = dataclasses.replace(
            step,
            args=([term.inputs[0] for term in terms],),
            kwargs={},
            pixel=linear_function([term.operation for term in terms]),
        )
        instructions = [step for step in instructions if step not in terms]
        return fuse_linear_sums(instructions, output)
    return instructions
