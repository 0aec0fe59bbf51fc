"""Bits per dimension of a softmax and of a logistic mixture after the same time.

Trains the same PixelCNN on the color crops of `photo_patches`, with 256 values per
sub-pixel as unordered ones (`Categorical`) and as ordered ones
(`DiscretizedLogisticMixture`), and evaluates both on crops of other photographs:

    python -m tests.benchmarks.mixture --minutes 5

The times include the first step, which makes the graph; those per step do not. Other
load on the machine changes the number of steps, and with it the bits.
"""

import dataclasses

import keras

from examples.color_patches import BATCH_SIZE, IMAGE_SHAPE, bits_per_dim, train_for
from keras_genimg.datasets import as_array, load
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import PixelCNN
from tests.benchmarks.timing import Row, number, parser, print_header, write_json


@dataclasses.dataclass
class TrainedRow(Row):
    """A row of a trained model; `seconds` is the time of a step."""

    bits_per_dim: float = 0.0
    steps: int = 0
    parameters: int = 0


def trained_row(name, likelihood, minutes, quick):
    """Train a PixelCNN for some time, and return its row."""
    keras.utils.set_random_seed(0)
    units, num_blocks = (4, 1) if quick else (48, 5)
    model = PixelCNN(
        IMAGE_SHAPE,
        units,
        num_blocks,
        head_filters=8 if quick else 64,
        likelihood=likelihood,
        name=name,
    )
    budget = train_for(model, 60 * minutes)
    test = as_array(load("photo_patches", "test[:16]" if quick else "test"))
    return TrainedRow(
        type(likelihood).__name__,
        f"{units} units, {num_blocks} blocks, batch {BATCH_SIZE}",
        budget.seconds_per_step,
        bits_per_dim=bits_per_dim(model, test),
        steps=budget.steps,
        parameters=model.count_params(),
    )


def main():
    options = parser(__doc__.splitlines()[0], rounds=1)
    options.add_argument("--minutes", type=float, default=5.0, help="of each training")
    options = options.parse_args()
    minutes = 0.02 if options.quick else options.minutes
    machine = print_header("mixture.py")
    candidates = {
        "softmax": Categorical(256),
        "logistic_mixture": DiscretizedLogisticMixture(256),
    }
    rows = [
        trained_row(name, likelihood, minutes, options.quick)
        for name, likelihood in candidates.items()
    ]
    title = f"PixelCNN on color crops after {60 * minutes:,.0f} s of training"
    print(f"\n### {title}\n")
    print("| likelihood | size | bits/dim | ms per step | steps | parameters |")
    print("|" + "---|" * 6)
    for row in rows:
        print(
            f"| {row.program} | {row.size} | {row.bits_per_dim:.3f} | "
            f"{number(1000 * row.seconds)} | {row.steps:,} | {row.parameters:,} |"
        )
    if options.json:
        write_json(options.json, machine, vars(options), [(title, rows)])


if __name__ == "__main__":
    main()
