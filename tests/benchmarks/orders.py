"""Time and memory of one order of pixels against eight.

    python -m tests.benchmarks.orders
    python -m tests.benchmarks.orders --preset mnist_diagonal_1x32

A `PixelRNN` with new weights is timed against the `OrientedModel` of the same network,
in turns. Memory is the largest of a new process that computes log-probabilities, with
all that TensorFlow takes itself.
"""

import resource

import numpy as np

from keras_genimg.models import OrientedModel, PixelRNN
from tests.benchmarks.timing import Benchmark, in_new_process


def make(preset, oriented):
    """Return a compiled model of one order or of eight."""
    model = PixelRNN.from_preset(preset, num_classes=8 if oriented else None)
    if oriented:
        model = OrientedModel(model)
    model.compile("adam")
    return model


def images_for(model, count):
    """Return images of random pixels."""
    generator = np.random.default_rng(0)
    num_values = model.likelihood.num_values
    return generator.integers(num_values, size=(count, *model.image_shape))


def tasks(model, count):
    """Return functions to time, by name."""
    images = images_for(model, count)
    known = np.zeros(model.image_shape[:2], int)
    known[: len(known) // 2] = 1
    return {
        "step of training, 16 images": lambda: model.train_on_batch(images[:16]),
        f"log_prob, {count} images": lambda: model.log_prob(images, verbose=0),
        f"generate, {count} images": lambda: model.generate(count, seed=0, verbose=0),
        f"complete, {count} images, upper half known": lambda: model.complete(
            images, known, seed=0, verbose=0
        ),
    }


def peak_of_log_prob(preset, oriented, count):
    """Return the most memory of this process in MB after `log_prob`."""
    model = make(preset, oriented)
    model.log_prob(images_for(model, count), batch_size=count, verbose=0)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main():
    benchmark = Benchmark(__doc__)
    preset = "of PixelRNN, by default digits_diagonal"
    benchmark.parser.add_argument("--preset", default="digits_diagonal", help=preset)
    options = benchmark.start()
    count = 4 if options.quick else 64
    one, eight = (tasks(make(options.preset, x), count) for x in (False, True))
    rows = []
    for name in one:
        timings, _ = benchmark.time({"one": one[name], "eight": eight[name]})
        medians = [1000 * timings[orders].median for orders in ("one", "eight")]
        rows.append(
            {
                "program": name,
                "ms": medians[0],
                "eight orders, ms": medians[1],
                "ratio": medians[1] / medians[0],
            }
        )
    benchmark.table(f"PixelRNN/{options.preset}, one order and eight", rows)
    peaks = [
        in_new_process(peak_of_log_prob, options.preset, oriented, count)
        for oriented in (False, True)
    ]
    print(f"Memory of log_prob, {count} images: {peaks[0]:.0f} and {peaks[1]:.0f} MB")


if __name__ == "__main__":
    main()
