"""Images a second of `fit`, and the share of its time that is not training steps.

    python -m tests.benchmarks.training

Trains models for 28x28 binary images with the presets' settings, in float32 and in
mixed precision, on one replica and on two. `fit` reads a shuffled data set that is
binarized in each epoch. Its time is compared with that of the same number of steps on
a batch in memory. The target is that at most 5 % of the time of `fit` is outside the
steps. Steps that read the data set, without `fit`, tell its share from that of Keras'
loop. The programs take turns of about ten seconds, which are a part of an epoch or
several of them.

Images are those of MNIST if the folder that TFDS_DATA_DIR names has them, else random
ones of the same number and shape. Two replicas are two logical CPU devices that share
the cores, so they show what `MirroredStrategy` costs and not what it gains.
"""

import contextlib
import functools
import itertools
import math
import os
import pathlib

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN
from tests.benchmarks import steps, timing
from tests.untuned import untuned

POLICIES = ("float32", "mixed_bfloat16")
TURN_SECONDS = 10
TARGET = round(1 / 0.95, 3)  # A share of 5 % outside the steps.
FIT, DATA = "fit", "reading the data set"
STEPS = "steps on one batch in memory"
READING_STEPS = "steps that read the data set"
NOTE = "Time per step; the ratio is to the steps on one batch in memory."

_SHAPE = (28, 28, 1)


def _preset(family, name):
    recipe = family.presets[name].recipe
    return name, functools.partial(family.from_preset, name), recipe


_, _LSTM, _PIXELS = _preset(PixelRNN, "mnist_diagonal_1x32")
# Title, maker of the model, and its recipe. `--quick` takes the tiny models of `steps`.
FAMILIES = {
    "PixelCNN": ("3 blocks, h=32", functools.partial(PixelCNN, _SHAPE, 32, 3), _PIXELS),
    "PixelRNN, diagonal": ("1 layer, h=32", _LSTM, _PIXELS),
    "PixelRNN, row": ("1 layer, h=32", functools.partial(_LSTM, layer="row"), _PIXELS),
    "DRAW": _preset(DRAW, "mnist_small"),
    "VAE": _preset(VAE, "mnist"),
}
QUICK_SHAPE, QUICK_BATCH = (4, 4, 1), 4


def load_images(quick):
    """Return what the images are, and all of them, uint8."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not quick and folder and (pathlib.Path(folder) / "mnist").is_dir():
        dataset = datasets.load("mnist", "train", batch_size=1000)
        return "MNIST", datasets.as_array(dataset)
    shape = (64, *QUICK_SHAPE) if quick else (60_000, *_SHAPE)
    return "random", np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def training_programs(model, epoch, strategy, steps):
    """Return the programs of one model by name, and how many steps a call of each is.

    These are `steps`, or as many as take `TURN_SECONDS` if that is None.
    """
    # `epoch` is untuned too; tuning would take some of the time.
    one_batch = untuned(tf.data.Dataset.from_tensors(next(iter(epoch))))
    in_memory, read = one_batch.repeat(), epoch.epochs.endless()
    if strategy:
        in_memory = strategy.experimental_distribute_dataset(in_memory)
        read = strategy.experimental_distribute_dataset(read)
    in_memory, read = iter(in_memory), iter(read)
    model.make_train_function()

    def run_steps(iterator, count):
        for _ in range(count):
            logs = model.train_function(iterator)
        return logs["loss"]

    for iterator in (in_memory, read):
        run_steps(iterator, 1)  # Traces the step.
    if steps is None:
        seconds = timing.timed(lambda: run_steps(in_memory, 5))[0] / 5
        steps = math.ceil(TURN_SECONDS / seconds)
    num_epochs = steps // len(epoch)
    data = epoch if num_epochs else epoch.take(steps)
    steps = num_epochs * len(epoch) or steps

    def fit(data):
        return model.fit(data, epochs=num_epochs or 1, verbose=0).history["loss"][-1]

    passes = [data] * (num_epochs or 1)
    if num_epochs and not strategy:
        # On one replica, `fit` makes no new iterator between epochs.
        passes = [epoch.epochs.endless().take(steps)]

    def read_alone():
        return [images.reduce(0, lambda n, batch: n + len(batch)) for images in passes]

    part = {"scale": 1 / steps, "slow": True}  # Long turns need no warm-up call.
    programs = {
        FIT: lambda: fit(data),
        STEPS: lambda: run_steps(in_memory, steps),
        READING_STEPS: lambda: run_steps(read, steps),
        DATA: read_alone,
    }
    return {name: timing.Program(run, **part) for name, run in programs.items()}, steps


def measure(key, policy, replicas, num_steps, rounds, quick):
    """Time a model of a dtype policy on a number of replicas.

    Returns what the images are, those in a batch, the steps in a turn, and the `Timing`
    of a step by program.

    Must run in a new process: two replicas need one where TensorFlow has not found its
    devices yet.
    """
    strategy = None
    if replicas > 1:
        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * replicas
        )
        devices = [f"/cpu:{k}" for k in range(replicas)]
        strategy = tf.distribute.MirroredStrategy(devices)
    _, make, recipe = FAMILIES[key]
    batch_size = recipe.batch_size
    if quick:
        kind, _, sizes = steps.FAMILIES[key]
        make = functools.partial(kind, QUICK_SHAPE, *sizes["tiny"])
        batch_size = QUICK_BATCH
    label, images = load_images(quick)
    keras.utils.set_random_seed(0)
    # `datasets.load` returns training images with these options.
    options = {"binarize": "dynamic", "shuffle": True, "drop_remainder": True}
    epoch = datasets.from_arrays(images, batch_size=batch_size, **options)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make(dtype=policy)
        model.compile(recipe.optimizer(len(epoch)))
    programs, count = training_programs(model, epoch, strategy, num_steps)
    timings, results = timing.time_programs(programs, rounds)
    if not np.isfinite(loss := float(np.squeeze(results[FIT]))):
        raise AssertionError(f"{key}, {policy}: the loss is {loss}")
    return label, batch_size, count, timings


def rows_of(timings, label, batch_size, quick):
    timing.print_unsteady({name: timings[name] for name in timings if name != DATA})
    rows = []
    for name, found in timings.items():
        # The turns of one round ran under the same load of the machine.
        pairs = zip(found.turns, timings[STEPS].turns, strict=True)
        ratio = float(np.median([first / second for first, second in pairs]))
        row = {"program": name, "size": label, "ms": 1000 * found.median}
        row |= {"images/s": batch_size / found.median, "ratio": ratio}
        if name in (FIT, READING_STEPS):
            row["outside the steps, %"] = 100 * (1 - 1 / ratio)
            met = f"≤ {TARGET}" + (" missed" if ratio > TARGET else "")
            row["target"] = None if quick else met
        rows.append(row)
    return rows


def main():
    benchmark = timing.Benchmark(__doc__, rounds=3)
    add = benchmark.parser.add_argument
    benchmark.add_choice("--family", FAMILIES)
    benchmark.add_choice("--policy", POLICIES)
    add("--replicas", nargs="+", type=int, choices=(1, 2), default=(1, 2))
    add("--steps", type=int, help="steps in a turn, by default ten seconds of them")
    options = benchmark.start()
    if options.steps is not None and options.steps < 1:
        benchmark.parser.error(f"--steps must be at least 1, not {options.steps}")
    num_steps = options.steps or (3 if options.quick else None)
    for key in options.family:
        rows = []
        for replicas, policy in itertools.product(options.replicas, options.policy):
            given = key, policy, replicas, num_steps, options.rounds, options.quick
            data, batch, count, timings = timing.in_new_process(measure, *given)
            label = f"{policy}, replicas: {replicas}, turns of {count} steps"
            rows += rows_of(timings, label, batch, options.quick)
        size = "tiny" if options.quick else FAMILIES[key][0]
        title = f"{key}, {size}, batches of {batch}, {data} images"
        benchmark.table(title, rows, NOTE)


if __name__ == "__main__":
    main()
