"""What a training step of every preset takes: operations and memory.

    python -m tests.benchmarks.presets
    python -m tests.benchmarks.presets --only PixelRNN/mnist_diagonal_7x16

Operations and memory are counted in the graph of the step, so that presets too large
for this machine have figures too. Operations are those of products and convolutions,
where a multiplication and an addition count as two. Memory is what must be held at once
at least: the weights, their gradients, the optimizer's values, and what the forward
pass keeps for the gradient, without and with `recompute` in the recurrent layers.
Buffers of single operations come on top. The card is the smallest that has a
tenth to spare.

The loop of DRAW keeps lists, of which the graph does not know the size.
"""

import unittest.mock

import tensorflow as tf

from keras_genimg import models
from keras_genimg.layers.pixel_lstm import PixelLSTM
from keras_genimg.presets import FAMILIES
from tests.benchmarks.timing import Benchmark
from tests.gpu.kernels import graph_of

CARDS = (8, 16, 24, 40, 80, 141)  # GiB.
_FREE = ("Const", "Placeholder", "ReadVariableOp", "Shape", "Identity", "Reshape")


def main():
    benchmark = Benchmark(__doc__)
    names = [f"{family}/{name}" for family, all_ in FAMILIES.items() for name in all_]
    benchmark.add_choice("--only", names)
    options = benchmark.start()
    rows = []
    for name in options.only:
        rows.append(row_of(name, options.quick))
        print(name, flush=True)
    benchmark.table("Training steps of the presets", rows)


def row_of(name, quick):
    family, preset = name.split("/")
    family = getattr(models, family)
    recipe = family.presets[preset].recipe
    batch = 2 if quick else recipe.batch_size
    model = family.from_preset(preset)
    operations, kept = step_figures(model, batch)
    keeps_lists = hasattr(model, "num_glimpses")
    averages = recipe.ema_momentum is not None
    # Weights, gradients, two moments of Adam, and the moving average.
    held = 4 * model.count_params() * (4 + averages)
    row = {
        "preset": name,
        "weights": model.count_params(),
        "batch": batch,
        "1e9 operations": operations / 1e9,
        "GiB": None if keeps_lists else (held + kept) / 2**30,
        "GiB, recompute": None,
    }
    recurrent = [x for x in model._flatten_layers() if isinstance(x, PixelLSTM)]
    if recurrent:
        for layer in recurrent:
            layer.recompute = True
        _, kept_again = step_figures(model, batch)
        # One layer at a time is computed again.
        again = kept_again + (kept - kept_again) / len(recurrent)
        row["GiB, recompute"] = (held + again) / 2**30
    if not keeps_lists:
        least = row["GiB, recompute"] or row["GiB"]
        row["card"] = next((f"{n} GiB" for n in CARDS if least < 0.9 * n), "none")
    return row


def step_figures(model, batch):
    """Return the operations of a step, and the bytes that it keeps for the gradient."""
    model.compile("sgd")
    specs = [tf.TensorSpec((batch, *x.shape[1:]), x.dtype) for x in model.inputs]
    ends = []

    def loss_of(*inputs):
        x = inputs if len(inputs) > 1 else inputs[0]
        return model.compute_loss(x=x, y_pred=model(x, training=True))

    def step(*inputs):
        with tf.GradientTape() as tape:
            loss = loss_of(*inputs)
        ends.append(len(tf.compat.v1.get_default_graph().get_operations()))
        return tape.gradient(loss, model.trainable_variables)

    # Models hide the size of a batch from their layers, and here it is needed.
    shown = unittest.mock.patch.object(
        tf.raw_ops, "PlaceholderWithDefault", lambda input, shape: input
    )
    with shown:
        forward = graph_of(loss_of, *specs)
        made = graph_of(step, *specs).get_operations()
    own = {x.ref() for operation in made[: ends[-1]] for x in operation.outputs}
    used = {x.ref() for operation in made[ends[-1] :] for x in operation.inputs} & own
    # Weights are counted apart, and these take no memory of their own.
    kept = [x.deref() for x in used if x.deref().op.type not in _FREE]
    # A product has two gradients, each a product of as many operations.
    return 3 * operations_of(forward), sum(map(size_of, kept))


def size_of(tensor):
    """Return the bytes of a tensor of known shape; 0 for a handle."""
    if tensor.dtype in (tf.variant, tf.resource):
        return 0
    return tensor.shape.num_elements() * tensor.dtype.size


def operations_of(graph):
    """Return the operations of all products in a graph and its functions."""
    total = 0
    for operation in graph.get_operations():
        kind = operation.type
        if kind in ("MatMul", "BatchMatMulV2"):
            inputs, outputs = operation.inputs[0].shape, operation.outputs[0].shape
            side = "transpose_a" if kind == "MatMul" else "adj_x"
            inner = inputs[-2 if operation.get_attr(side) else -1]
            total += 2 * outputs.num_elements() * inner
        elif kind in ("Conv2D", "Conv2DBackpropInput"):
            height, width, channels, _ = operation.inputs[1].shape
            # A transposed convolution uses its kernel once for each of its inputs.
            uses = operation.outputs[0] if kind == "Conv2D" else operation.inputs[2]
            total += 2 * height * width * channels * uses.shape.num_elements()
        elif kind.endswith("PartitionedCall"):
            total += operations_of(function_of(graph, operation, "f"))
        elif kind.endswith("While"):
            turns = int(tf.get_static_value(operation.inputs[1]))
            total += turns * operations_of(function_of(graph, operation, "body"))
    return total


def function_of(graph, operation, attribute):
    """Return the graph of a function that an operation calls."""
    return graph._get_function(operation.get_attr(attribute).name).graph


if __name__ == "__main__":
    main()
