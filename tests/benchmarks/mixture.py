"""Bits per dimension of a softmax and of a logistic mixture after the same time.

Trains the same PixelCNN on the color crops of `photo_patches`, with 256 values per
sub-pixel as unordered ones (`Categorical`) and as ordered ones
(`DiscretizedLogisticMixture`), and evaluates both on crops of other photographs:

    python -m tests.benchmarks.mixture --minutes 5

The times include the first step, which makes the graph; those per step do not. Other
load on the machine changes the number of steps, and with it the bits.
"""

import keras

from examples.color_patches import BATCH_SIZE, IMAGE_SHAPE, bits_per_dim, train_for
from keras_genimg.datasets import as_array, load
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import PixelCNN
from tests.benchmarks.timing import Benchmark


def trained_row(likelihood, minutes, quick):
    """Train a PixelCNN for some time, and return its row."""
    keras.utils.set_random_seed(0)
    units, num_blocks, filters = (4, 1, 8) if quick else (48, 5, 64)
    options = {"head_filters": filters, "likelihood": likelihood}
    model = PixelCNN(IMAGE_SHAPE, units, num_blocks, **options)
    budget = train_for(model, 60 * minutes)
    test = as_array(load("photo_patches", "test[:16]" if quick else "test"))
    return {
        "program": type(likelihood).__name__,
        "size": f"{units} units, {num_blocks} blocks, batch {BATCH_SIZE}",
        "bits/dim": float(bits_per_dim(model, test)),
        "ms": 1000 * budget.seconds_per_step,
        "steps": budget.steps,
        "parameters": model.count_params(),
    }


def main():
    benchmark = Benchmark(__doc__)
    minutes = "of each training"
    benchmark.parser.add_argument("--minutes", type=float, default=5.0, help=minutes)
    options = benchmark.start()
    minutes = 0.02 if options.quick else options.minutes
    rows = [
        trained_row(likelihood, minutes, options.quick)
        for likelihood in (Categorical(256), DiscretizedLogisticMixture(256))
    ]
    title = f"PixelCNN on color crops after {60 * minutes:,.0f} s of training"
    benchmark.table(title, rows, "Milliseconds per step.")


if __name__ == "__main__":
    main()
