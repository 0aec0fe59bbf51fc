"""Time of drawing one image, row by row and pixel by pixel.

    python -m tests.benchmarks.lone

Presets of binary images with the weights in the package draw 64 seeds, one at a time,
without XLA, in turns. The images must be the same. Other batches than of one image are
drawn pixel by pixel.
"""

import unittest.mock

import numpy as np
import tensorflow as tf

from keras_genimg import models
from keras_genimg.presets import FAMILIES, presets_with_weights
from keras_genimg.sampling import incremental
from tests.benchmarks.timing import Benchmark, timed

SEED, WARM_UP = 100, 3


def main():
    """Print the table."""
    benchmark = Benchmark(__doc__, rounds=64)
    options = benchmark.start()
    rows = []
    for name in FAMILIES:
        family = getattr(models, name)
        if not hasattr(family, "complete"):  # Models with latent variables.
            continue
        for preset in sorted(presets_with_weights(name)):
            model = family.from_preset(preset, weights=True)
            if model.likelihood.num_values == 2:
                count = 2 if options.quick else options.rounds or benchmark.rounds
                rows.append({"program": f"{name}/{preset}", **row_of(model, count)})
                print(rows[-1]["program"], flush=True)
    benchmark.table("One image, without XLA", rows)


def row_of(model, count):
    """Return the figures of a model for a number of seeds."""
    by_row = graph_of(model, incremental._MOST_GUESSES)
    by_pixel = graph_of(model, 0)
    times = {by_row: [], by_pixel: []}
    for index in range(-WARM_UP, count):
        seeds = tf.constant([SEED + index % count], tf.int64)
        images = []
        for draw in sorted(times, key=lambda draw: draw is by_row or index % 2):
            seconds, image = timed(lambda draw=draw, seeds=seeds: draw(seeds))
            images.append(image.numpy())
            if index >= 0:
                times[draw].append(1000 * seconds)
        np.testing.assert_array_equal(*images)
    ours, theirs = (np.array(times[draw]) for draw in (by_row, by_pixel))
    return {
        "size": "{}x{}".format(*model.image_shape[:2]),
        "ms": float(np.median(ours)),
        "pixel by pixel, ms": float(np.median(theirs)),
        "ratio": float(np.median(theirs) / np.median(ours)),
        "p99 / mean": float(np.percentile(ours, 99) / ours.mean()),
    }


def graph_of(model, most_guesses):
    """Return a compiled function of seeds that guesses a row so many times."""
    draw = model._drawer.from_seeds("incremental", model.image_shape)
    with unittest.mock.patch.object(incremental, "_MOST_GUESSES", most_guesses):
        return tf.function(
            lambda seeds: draw(seeds, tf.constant(1.0)),
            input_signature=[tf.TensorSpec((None,), tf.int64)],
            autograph=False,
        ).get_concrete_function()


if __name__ == "__main__":
    main()
