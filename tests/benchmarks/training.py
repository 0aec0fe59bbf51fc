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
from tests.benchmarks.timing import (
    Benchmark,
    Program,
    in_new_process,
    print_unsteady,
    time_programs,
    timed,
)
from tests.untuned import untuned

POLICIES = ("float32", "mixed_bfloat16")
TURN_SECONDS = 10
TARGET = round(1 / 0.95, 3)  # A share of 5 % outside the steps.
FIT, DATA = "fit", "reading the data set"
STEPS = "steps on one batch in memory"
READING_STEPS = "steps that read the data set"
NOTE = "Time per step; the ratio is to the steps on one batch in memory."

_SMALL = (4, 4, 1)
_LSTM = functools.partial(PixelRNN.from_preset, "mnist_diagonal_1x32")
_PIXELS = PixelRNN.presets["mnist_diagonal_1x32"].recipe
_UNITS = {"units": 3, "first_kernel_size": 3}
# Title, maker of the model, its recipe, and the arguments of a small model.
FAMILIES = {
    "cnn": (
        "PixelCNN, 3 blocks, h=32",
        functools.partial(PixelCNN, image_shape=(28, 28, 1), units=32, num_blocks=3),
        _PIXELS,
        _UNITS,
    ),
    "diagonal": ("PixelRNN, 1 diagonal layer, h=32", _LSTM, _PIXELS, _UNITS),
    "row": (
        "PixelRNN, 1 row layer, h=32",
        functools.partial(_LSTM, layer="row"),
        _PIXELS,
        _UNITS,
    ),
    "draw": (
        "DRAW, mnist_small",
        functools.partial(DRAW.from_preset, "mnist_small"),
        DRAW.presets["mnist_small"].recipe,
        {"num_glimpses": 2, "units": 4, "read_size": 2, "write_size": 2},
    ),
    "vae": (
        "VAE, mnist",
        functools.partial(VAE.from_preset, "mnist"),
        VAE.presets["mnist"].recipe,
        {"latent_dim": 2, "hidden_units": 4},
    ),
}
QUICK_BATCH = 4


def load_images(quick):
    """Return what the images are, and all of them, uint8."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not quick and folder and (pathlib.Path(folder) / "mnist").is_dir():
        dataset = datasets.load("mnist", "train", batch_size=1000)
        return "MNIST", datasets.as_array(dataset)
    shape = (64, *_SMALL) if quick else (60_000, 28, 28, 1)
    return "random", np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def training_programs(model, epoch, strategy, steps):
    """Return the programs of one model by name, and how many steps a call of each is.

    Args:
        model: A compiled model.
        epoch: Its data set.
        strategy: A `tf.distribute.Strategy` or None.
        steps: Number of steps, or None for a turn of `TURN_SECONDS`.
    """
    # As `epoch` is; tuning would take some of the time.
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
        seconds = timed(lambda: run_steps(in_memory, 5))[0] / 5
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
        for images in passes:
            count = images.reduce(0, lambda count, batch: count + len(batch))
        return count

    part = {"scale": 1 / steps, "slow": True}  # Long turns need no warm-up call.
    programs = {
        FIT: lambda: fit(data),
        STEPS: lambda: run_steps(in_memory, steps),
        READING_STEPS: lambda: run_steps(read, steps),
        DATA: read_alone,
    }
    return {name: Program(run, **part) for name, run in programs.items()}, steps


def measure(key, policy, replicas, steps, rounds, quick):
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
    title, make, recipe, small = FAMILIES[key]
    tiny = {"image_shape": _SMALL, **small} if quick else {}
    batch_size = QUICK_BATCH if quick else recipe.batch_size
    label, images = load_images(quick)
    keras.utils.set_random_seed(0)
    # As `datasets.load` returns training images.
    options = {"binarize": "dynamic", "shuffle": True, "drop_remainder": True}
    epoch = datasets.from_arrays(images, batch_size=batch_size, **options)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make(dtype=policy, **tiny)
        model.compile(recipe.optimizer(len(epoch)))
    programs, count = training_programs(model, epoch, strategy, steps)
    timings, results = time_programs(programs, rounds)
    if not np.isfinite(loss := float(np.squeeze(results[FIT]))):
        raise AssertionError(f"{title}, {policy}: the loss is {loss}")
    return label, batch_size, count, timings


def rows_of(timings, label, batch_size, steps):
    """Return the table rows of one model, policy and number of replicas.

    Args:
        timings: Dict from program to the `Timing` of a step.
        label: Text of policy and replicas.
        batch_size: Images in a batch.
        steps: Number of steps in a turn.
    """
    print_unsteady({name: timings[name] for name in timings if name != DATA})
    rows = []
    for name, timing in timings.items():
        # The turns of one round ran under the same load of the machine.
        pairs = zip(timing.turns, timings[STEPS].turns, strict=True)
        ratio = float(np.median([first / second for first, second in pairs]))
        row = {"program": name, "size": label, "ms": 1000 * timing.median}
        row |= {"images/s": batch_size / timing.median, "ratio": ratio}
        if name in (FIT, READING_STEPS):
            row["target"] = f"≤ {TARGET}" + (" missed" if ratio > TARGET else "")
            print(
                f"{label}: {100 * (1 - 1 / ratio):.1f} % of the time of {name} is not "
                f"that of the steps on one batch in memory, by turns of {steps} steps",
                flush=True,
            )
        rows.append(row)
    return rows


def main():
    benchmark = Benchmark(__doc__, rounds=3)
    add = benchmark.parser.add_argument
    add("--family", nargs="+", choices=tuple(FAMILIES), default=tuple(FAMILIES))
    add("--policy", nargs="+", choices=POLICIES, default=POLICIES)
    add("--replicas", nargs="+", type=int, choices=(1, 2), default=(1, 2))
    add("--steps", type=int, help="steps in a turn, by default ten seconds of them")
    options = benchmark.start()
    if options.steps is not None and options.steps < 1:
        benchmark.parser.error(f"--steps must be at least 1, not {options.steps}")
    rounds = options.rounds or (1 if options.quick else 3)
    steps = options.steps or (3 if options.quick else None)
    for key in options.family:
        rows = []
        for replicas, policy in itertools.product(options.replicas, options.policy):
            given = key, policy, replicas, steps, rounds, options.quick
            data, batch, count, timings = in_new_process(measure, *given)
            rows += rows_of(timings, f"{policy}, replicas: {replicas}", batch, count)
        name = f"{key}, tiny" if options.quick else FAMILIES[key][0]
        benchmark.table(f"{name}, batches of {batch}, {data} images", rows, NOTE)


if __name__ == "__main__":
    main()
