"""Cost of checking images and labels in a training step.

Times `train_on_batch` of the same model with and without the check, in turns:

    python -m tests.benchmarks.step_check

The targets are a ratio of 1.01 for PixelCNN, PixelRNN and DRAW, and 0.1 ms for the VAE.
"""

import keras
import numpy as np

from keras_genimg.fitting.step_check import StepCheck
from keras_genimg.models import DRAW, VAE, PixelCNN, PixelRNN
from tests.benchmarks.timing import (
    Program,
    Row,
    at_most,
    number,
    parser,
    print_header,
    print_table,
    print_unsteady,
    time_programs,
    write_json,
)


class NoCheck(StepCheck):
    """Step check that accepts everything."""

    def inputs(self, x, sample_weight, owner):
        return x, sample_weight

    def with_flag(self, logs):
        return logs

    def after(self, function, owner):
        return function


def models(quick):
    """Return a dict from name to a model factory and its batch size."""
    if quick:
        return {
            "PixelCNN": (lambda: PixelCNN((4, 4, 1), 3, 1, first_kernel_size=3), 4),
            "VAE": (lambda: VAE((4, 4, 1), 2, 4), 4),
        }
    return {
        "PixelCNN": (lambda: PixelCNN((28, 28, 1), 16, 7), 16),
        "PixelCNN with labels": (
            lambda: PixelCNN((28, 28, 1), 16, 7, num_classes=10),
            16,
        ),
        "PixelRNN, row": (lambda: PixelRNN((28, 28, 1), 16, 2, "row"), 16),
        "PixelRNN, diagonal": (lambda: PixelRNN((28, 28, 1), 16, 2), 16),
        "DRAW": (lambda: DRAW((28, 28, 1), 16, 256, 100, 2, 5), 64),
        "VAE": (lambda: VAE((28, 28, 1), 20), 100),
    }


def rows_of(name, make, batch, timing_options, quick):
    """Return the table rows of one model."""
    programs = {}
    for label, check in {"with": StepCheck, "without": NoCheck}.items():
        keras.utils.set_random_seed(0)
        model = make()
        model._fitter._check = check(model)
        model.compile("adam")
        generator = np.random.default_rng(0)
        images = generator.integers(0, 2, (batch, *model.image_shape))
        x = {"images": images.astype("float32")}
        if len(model.inputs) > 1:
            x["label"] = generator.integers(0, 10, batch).astype("int32")
        x = x if len(x) > 1 else x["images"]
        programs[label] = Program(lambda m=model, x=x: m.train_on_batch(x))
    timings, _ = time_programs(programs, **timing_options)
    print_unsteady(timings)
    checked, bare = timings["with"], timings["without"]
    # Consecutive turns run under the same load of the machine.
    pairs = list(zip(checked.turns, bare.turns, strict=True))
    ratio = float(np.median([first / second for first, second in pairs]))
    extra = float(np.median([first - second for first, second in pairs]))
    target = None if quick or name == "VAE" else at_most(1.01)
    print(f"{name}: {1000 * extra:.3f} ms more per step", flush=True)
    if name == "VAE" and not quick:
        print(f"VAE: target 0.1 ms {'met' if extra <= 1e-4 else 'missed'}")
    size = f"batch {batch}"
    note = f"{number(1000 * abs(extra))} ms {'more' if extra > 0 else 'less'}."
    return [
        Row(f"{name}, checked", size, checked.median, ratio, target, note=note),
        Row(f"{name}, unchecked", size, bare.median),
    ]


def main():
    options = parser(__doc__.splitlines()[0], rounds=30)
    options.add_argument("--only", nargs="+", help="names of models")
    options = options.parse_args()
    machine = print_header("step_check.py")
    timing = {"rounds": options.rounds or (2 if options.quick else 30)}
    rows = []
    for name, (make, batch) in models(options.quick).items():
        if options.only is None or name in options.only:
            rows += rows_of(name, make, batch, timing, options.quick)
    title = "A training step with and without the check of its inputs"
    print_table(title, rows)
    if options.json:
        write_json(options.json, machine, vars(options), [(title, rows)])


if __name__ == "__main__":
    main()
