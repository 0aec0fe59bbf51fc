"""The loop over rows, shared by all orders that finish a row before the next."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from keras_genimg.sampling.orders.order import Choice, Visited
from keras_genimg.sampling.packing import Packer
from keras_genimg.sampling.values import PlanValues, Sampled, with_shapes_of
from keras_genimg.types import Tensors

# Function that packs what is kept of a pixel, or of a row, as one tensor.
Pack: TypeAlias = Callable[[Sampled], tf.Tensor]


class _State(NamedTuple):
    """State of the loop.

    Attributes:
        row: Index of the next row.
        caches: The cache of each causal layer.
        results: TensorArrays of rows: pixels, and what is observed.
        of_order: What the order passes from row to row.
    """

    row: tf.Tensor
    caches: tuple[Tensors, ...]
    results: list[tf.TensorArray]
    of_order: Any


def visit_rows(
    values: PlanValues,
    choice: Choice,
    num_rows: Any,
    sample_row: Callable[..., tuple[tf.Tensor, Any]],
    of_order: Any = (),
) -> Visited:
    """Visit an image row by row. See `Order.visit` for the result.

    Args:
        values: The `PlanValues`.
        choice: The `Choice`.
        num_rows: Number of rows to visit.
        sample_row: Function of `(row, given, pack, of_order)`, which samples a row: its
            `Row`; the given tensors of the choice in this row, `(width, batch, n)`; a
            function that packs what is kept of a `Sampled`; and the state that the
            order passes from row to row. It returns the packed tensors of all pixels,
            `(width, batch, n)`, pixels first, and the next state.
        of_order: The first state of the order.
    """
    plan, packer = values.plan, Packer(values.plan.dtype)

    def pack(sampled: Sampled) -> tf.Tensor:
        inputs = [sampled.evaluated.values[value] for value in plan.row_inputs]
        return packer.pack([choice.results(sampled), *sampled.kept, inputs])

    def visit_row(state: _State) -> list[_State]:
        row = values.begin_row(state.row, state.caches)
        given = [tensor[state.row] for tensor in choice.given]
        packed, of_order = sample_row(row, given, pack, state.of_order)
        packed.set_shape((*values.static_sizes, packer.size))
        (pixels, *observed), *kept, inputs = packer.unpack(packed)
        results = [pixels, *(each[:, : choice.num_observed] for each in observed)]
        of_row = {**row.values, **dict(zip(plan.row_inputs, inputs, strict=True))}
        caches = values.end_row(state.caches, of_row, kept)
        # A loop's variables must keep their static shapes, which a layer may lose.
        next_state = _State(
            row=state.row + 1,
            caches=with_shapes_of(caches, state.caches),
            results=[
                array.write(state.row, result)
                for array, result in zip(state.results, results, strict=True)
            ],
            of_order=of_order,
        )
        return [next_state]

    results = [
        tf.TensorArray(tf.float32, values.height, element_shape=(None,) * 3)
        for _ in range(1 if choice.observe is None else 2)
    ]
    state = _State(tf.constant(0), values.initial_caches(), results, of_order)
    (state,) = tf.while_loop(
        lambda state: state.row < num_rows,
        visit_row,
        [state],
        maximum_iterations=values.height,
    )
    stacks = [array.stack() for array in state.results]
    sizes = packer.layout.sizes
    for stack, size in zip(stacks, sizes, strict=False):
        stack.set_shape((None, values.static_sizes[0], None, size))
    return Visited(*stacks)
