"""Images a second of `fit`, and the share of its time that is not training steps.

    python -m tests.benchmarks.training

Trains models for 28x28 binary images with the presets' settings, in float32 and in
mixed precision, on one replica and on two. `fit` reads a shuffled data set that is
binarized in each epoch. Its time is compared with that of the same number of steps on
a batch in memory: called one after the other, and by `fit`. The target is that at most
5 % of the time of `fit` is outside the steps. Steps that read the data set, without
`fit`, tell its share from that of Keras' loop. The programs take turns of about ten
seconds, which are a part of an epoch or several of them.

Images are those of MNIST if the folder that TFDS_DATA_DIR names has them, else random
ones of the same number and shape. Two replicas are two logical CPU devices that share
the cores, so they show what `MirroredStrategy` costs and not what it gains.
"""

import contextlib
import dataclasses
import json
import math
import os
import pathlib
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from keras_genimg import datasets  # noqa: E402
from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN  # noqa: E402
from keras_genimg.presets import Recipe  # noqa: E402
from tests.benchmarks.timing import (  # noqa: E402
    Program,
    Row,
    Timing,
    at_most,
    number,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    timed,
    write_json,
)
from tests.subprocesses import run_python  # noqa: E402
from tests.untuned import untuned  # noqa: E402

POLICIES = ("float32", "mixed_bfloat16", "mixed_float16")
TURN_SECONDS = 10
# A share of 5 % outside the steps.
TARGET = at_most(round(1 / 0.95, 3))
FIT, DATA = "fit", "reading the data set"
FIT_IN_MEMORY, STEPS = "fit on one batch in memory", "steps on one batch in memory"
READING_STEPS = "steps that read the data set"
NOTES = {
    FIT: "Per step; the ratio is to the steps on one batch in memory.",
    FIT_IN_MEMORY: "Likewise, without the data set.",
    READING_STEPS: "Without `fit`; the ratio tells the share of the data set.",
    DATA: "Alone, without training; the ratio is likewise.",
}


@dataclasses.dataclass(frozen=True)
class Family:
    """A model to train: `make` takes the dtype policy."""

    name: str
    make: Callable
    recipe: Recipe


_PIXELS = PixelRNN.presets["mnist_diagonal_1x32"].recipe
FAMILIES = {
    "cnn": Family(
        "PixelCNN, 3 blocks, h=32",
        lambda dtype: PixelCNN((28, 28, 1), 32, 3, dtype=dtype),
        _PIXELS,
    ),
    "diagonal": Family(
        "PixelRNN, 1 diagonal layer, h=32",
        lambda dtype: PixelRNN.from_preset("mnist_diagonal_1x32", dtype=dtype),
        _PIXELS,
    ),
    "row": Family(
        "PixelRNN, 1 row layer, h=32",
        lambda dtype: PixelRNN.from_preset(
            "mnist_diagonal_1x32", layer="row", dtype=dtype
        ),
        _PIXELS,
    ),
    "draw": Family(
        "DRAW, mnist_small",
        lambda dtype: DRAW.from_preset("mnist_small", dtype=dtype),
        DRAW.presets["mnist_small"].recipe,
    ),
    "vae": Family(
        "VAE, mnist",
        lambda dtype: VAE.from_preset("mnist", dtype=dtype),
        VAE.presets["mnist"].recipe,
    ),
}
_QUICK = Recipe(1, 4, 1e-3)
_SMALL = (4, 4, 1)
QUICK_FAMILIES = {
    "cnn": Family(
        "PixelCNN, tiny",
        lambda dtype: PixelCNN(_SMALL, 3, 1, first_kernel_size=3, dtype=dtype),
        _QUICK,
    ),
    "diagonal": Family(
        "PixelRNN diagonal, tiny",
        lambda dtype: PixelRNN(_SMALL, 3, 1, dtype=dtype),
        _QUICK,
    ),
    "row": Family(
        "PixelRNN row, tiny",
        lambda dtype: PixelRNN(_SMALL, 3, 1, "row", dtype=dtype),
        _QUICK,
    ),
    "draw": Family(
        "DRAW, tiny", lambda dtype: DRAW(_SMALL, 2, 4, 2, 2, 2, dtype=dtype), _QUICK
    ),
    "vae": Family("VAE, tiny", lambda dtype: VAE(_SMALL, 2, 4, dtype=dtype), _QUICK),
}


def load_images(quick):
    """Return what the images are, and all of them, uint8."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not quick and folder and (pathlib.Path(folder) / "mnist").is_dir():
        dataset = datasets.load("mnist", "train", batch_size=1000)
        return "MNIST", datasets.as_array(dataset)
    shape = (64, *_SMALL) if quick else (60_000, 28, 28, 1)
    return "random", np.random.default_rng(0).integers(0, 256, shape, dtype="uint8")


def batches_of(images, batch_size):
    """Return what `datasets.load` does for shuffled training images, binarized."""
    return datasets.from_arrays(
        images,
        batch_size=batch_size,
        binarize="dynamic",
        shuffle=True,
        drop_remainder=True,
    )


def training_programs(family, policy, strategy, images, steps):
    """Return the programs of one model by name, and how many steps a call of each is.

    Args:
        family: A `Family`.
        policy: Dtype policy.
        strategy: A `tf.distribute.Strategy` or None.
        images: All images, uint8.
        steps: Number of steps, or None for a turn of `TURN_SECONDS`.
    """
    keras.utils.set_random_seed(0)
    epoch = batches_of(images, family.recipe.batch_size)
    scope = strategy.scope() if strategy else contextlib.nullcontext()
    with scope:
        model = family.make(policy)
        model.compile(family.recipe.optimizer(len(epoch)))
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
        FIT_IN_MEMORY: lambda: fit(one_batch.repeat(len(data))),
        STEPS: lambda: run_steps(in_memory, steps),
        READING_STEPS: lambda: run_steps(read, steps),
        DATA: read_alone,
    }
    return {name: Program(run, **part) for name, run in programs.items()}, steps


def measure(key, policies, replicas, steps, rounds, quick):
    """Time a model, by dtype policy, on a number of replicas.

    Two replicas need a new process, where TensorFlow has not found its devices yet.

    Returns:
        List of dicts that JSON can hold: family, policy, replicas, steps, data, and the
        seconds per step of each program's turns.
    """
    strategy = None
    if replicas > 1:
        device = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(
            device, [tf.config.LogicalDeviceConfiguration()] * replicas
        )
        devices = [f"/cpu:{k}" for k in range(replicas)]
        strategy = tf.distribute.MirroredStrategy(devices)
    label, images = load_images(quick)
    family = (QUICK_FAMILIES if quick else FAMILIES)[key]
    measured = []
    for policy in policies:
        programs, count = training_programs(family, policy, strategy, images, steps)
        timings, results = time_programs(programs, rounds)
        loss = float(np.squeeze(results[FIT]))
        if not np.isfinite(loss):
            raise AssertionError(f"{family.name}, {policy}: the loss is {loss}")
        measured.append(
            {
                "family": key,
                "policy": policy,
                "replicas": replicas,
                "steps": count,
                "data": label,
                "turns": {name: timing.turns for name, timing in timings.items()},
            }
        )
        keras.backend.clear_session()
    return measured


def measure_in_a_new_process(*arguments):
    call = f"print(json.dumps(training.measure(*{arguments!r})))"
    code = f"import json; from tests.benchmarks import training; {call}"
    return json.loads(run_python("-c", code, timeout=3600).splitlines()[-1])


def rows_of(measured, quick):
    """Return the table rows of one model, policy and number of replicas."""
    family = (QUICK_FAMILIES if quick else FAMILIES)[measured["family"]]
    replicas = "1 replica" if measured["replicas"] == 1 else "2 replicas"
    label = f"{measured['policy']}, {replicas}"
    turns = measured["turns"]
    timings = {
        f"{family.name}, {label}, {name}": Timing(0.0, turns[name])
        for name in (FIT, FIT_IN_MEMORY, STEPS, READING_STEPS)
    }
    print_unsteady(timings)
    rows = []
    for name, seconds in turns.items():
        median = float(np.median(seconds))
        ratio = ratio_of(turns, name, STEPS)
        rate = number(family.recipe.batch_size / median)
        rows.append(
            Row(
                name,
                f"{label}: {rate} images/s",
                median,
                None if name == STEPS else ratio,
                TARGET if name in (FIT, READING_STEPS) and not quick else None,
                note=NOTES.get(name, ""),
            )
        )
        if name == FIT:
            outside = 100 * (1 - 1 / ratio)
            share = 100 * (1 - 1 / ratio_of(turns, READING_STEPS, STEPS))
            print(
                f"{family.name}, {label}: {rate} images/s, {outside:.1f} % of the time "
                f"outside the steps, {share:.1f} % for the data set, by turns of "
                f"{measured['steps']} steps",
                flush=True,
            )
    return rows


def ratio_of(turns, name, other):
    """Return the median ratio of the times of two programs, round by round.

    The turns of one round ran under the same load of the machine.
    """
    pairs = zip(turns[name], turns[other], strict=True)
    return float(np.median([first / second for first, second in pairs]))


def main():
    arguments = parser(__doc__.splitlines()[0], rounds=3)
    arguments.add_argument(
        "--family", nargs="+", choices=tuple(FAMILIES), default=tuple(FAMILIES)
    )
    arguments.add_argument(
        "--policy", nargs="+", choices=POLICIES, default=POLICIES[:2], metavar="POLICY"
    )
    arguments.add_argument(
        "--replicas", nargs="+", type=int, choices=(1, 2), default=(1, 2)
    )
    arguments.add_argument(
        "--steps", type=int, help="steps in a turn, by default ten seconds of them"
    )
    options = arguments.parse_args()
    if options.steps is not None and options.steps < 1:
        arguments.error(f"--steps must be at least 1, not {options.steps}")
    machine = print_header("Training")
    rounds = options.rounds or (1 if options.quick else 3)
    steps = options.steps or (3 if options.quick else None)
    tables = []
    for key in options.family:
        family = (QUICK_FAMILIES if options.quick else FAMILIES)[key]
        rows = []
        for replicas in options.replicas:
            run = measure if replicas == 1 else measure_in_a_new_process
            what = key, options.policy, replicas, steps, rounds, options.quick
            for measured in run(*what):
                rows += rows_of(measured, options.quick)
        title = (
            f"{family.name}, batches of {family.recipe.batch_size}, "
            f"{measured['data']} images"
        )
        tables.append((title, rows))
        print_table(title, rows)
    if options.json:
        write_json(options.json, machine, vars(options), tables)


if __name__ == "__main__":
    main()
