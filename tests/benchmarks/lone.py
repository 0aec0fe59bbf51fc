"""Time of drawing one image or eight, in the faster way and pixel by pixel.

    python -m tests.benchmarks.lone

Presets with weights in the package draw 64 seeds, without XLA, in turns: several rows
at once, or a row guessed and evaluated until it settles. Binary images must be the
same. Rounding decides a pixel of every twentieth image of 256 values.
"""

import numpy as np
import tensorflow as tf

from keras_genimg import models
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.presets import FAMILIES, presets_with_weights
from keras_genimg.sampling.orders.waves import Waves
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.sampler import small_batch_order
from keras_genimg.sampling.values import PlanValues
from tests.benchmarks.timing import Benchmark, timed

SEED, WARM_UP = 100, 3


def main():
    benchmark = Benchmark(__doc__, rounds=64)
    count = benchmark.start().rounds
    rows = []
    for name, preset, model in programs():
        template = tf.zeros((*model.image_shape[:2], 1, model.image_shape[2]))
        values = PlanValues.of(Plan.of(model), template, [], fused=True)
        order = small_batch_order(model, values)
        if order is None:
            continue
        has_waves = isinstance(order, Waves)
        pixel_by_pixel = graph_of(model, "large")
        draws = graph_of(model, "any"), pixel_by_pixel
        for batch in (1, 8) if has_waves else (1,):
            row = {"program": f"{name}/{preset}", "images": batch}
            row["way"] = "waves" if has_waves else "rows"
            rows.append({**row, **row_of(draws, model, batch, count)})
            print(rows[-1], flush=True)
    benchmark.table("Small batches, without XLA", rows)


def programs():
    """Yield family, name and model."""
    for name in FAMILIES:
        family = getattr(models, name)
        several_networks = family is models.MultiScalePixelRNN
        if issubclass(family, models.AutoregressiveModel) and not several_networks:
            for preset in sorted(presets_with_weights(name)):
                yield name, preset, family.from_preset(preset, weights=True)
    narrow = models.PixelCNN((28, 28, 1), 32, 7, first_kernel_size=7)
    yield "PixelCNN", "7x7 first, new weights", narrow


def row_of(draws, model, batch, count):
    """Return the figures of a model for a number of seeds."""
    times, same = {draw: [] for draw in draws}, []
    for index in range(-WARM_UP, count):
        seeds = tf.range(SEED + index % count, SEED + index % count + batch)
        seeds, images = tf.cast(seeds, tf.int64), []
        for draw in sorted(draws, key=lambda draw: (draw is draws[0]) == index % 2):
            seconds, drawn = timed(lambda draw=draw, seeds=seeds: draw(seeds))
            images.append(drawn.numpy())
            if index >= 0:
                times[draw].append(1000 * seconds)
        same += list((images[0] == images[1]).all((1, 2, 3)))
    assert all(same) or model.likelihood.num_values > 2
    ours, theirs = (np.array(times[draw]) for draw in draws)
    return {
        "size": "{}x{}".format(*model.image_shape[:2]),
        "ms": float(np.median(ours)),
        "pixel by pixel, ms": float(np.median(theirs)),
        "ratio": float(np.median(theirs) / np.median(ours)),
        "p99 / mean": float(np.percentile(ours, 99) / ours.mean()),
        "same images": float(np.mean(same)),
    }


def graph_of(model, batches):
    """Return a compiled function of seeds, for `batches` as in a `SamplerKey`."""
    key = SamplerKey("incremental", model.image_shape, False, batches)
    return tf.function(
        lambda seeds: model._samplers.scheme.generate(key, seeds, tf.constant(1.0)),
        input_signature=[tf.TensorSpec((None,), tf.int64)],
        autograph=False,
    ).get_concrete_function()


if __name__ == "__main__":
    main()
