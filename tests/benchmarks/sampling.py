"""Time of drawing images, against other implementations.

    python -m tests.benchmarks.sampling

Draws binary 28x28 images from a PixelRNN of 7 diagonal or row layers of 16 units, and
from a PixelCNN of 7 blocks of 32 units. Programs that draw from the same random numbers
are checked to draw the same images.
"""

import functools

import keras
import numpy as np
import tensorflow as tf

from examples.moving import tfp_pixel_cnn
from keras_genimg.ops import seeded_uniforms
from tests.benchmarks import steps, timing
from tests.benchmarks.timing import NOTE, OURS, XLA
from tests.sampling.drawn import TIE, assert_ancestral

# The first sizes of `steps`, and with `--quick` the tiny ones.
FAMILIES = ("PixelRNN, diagonal", "PixelRNN, row", "PixelCNN")
FORWARD = "forward pass"
LOOP = "one forward pass per pixel, tf.while_loop"
PREDICT = "one model.predict per pixel (keras.io)"
TFP = "tfd.PixelCNN.sample in a tf.function"
PEER_BATCH = 16
SLOW_ROUNDS = 3


def make_model(family, size, quick):
    """Return a model with random weights whose logits are neither 0 nor extreme."""
    keras.utils.set_random_seed(0)
    model_class, _, sizes = steps.FAMILIES[family]
    arguments = sizes["tiny"] if quick else next(iter(sizes.values()))
    model = model_class((size, size, 1), *arguments)
    scale = 2 / np.std(model(timing.binary_images(16, size)))
    last = model.get_layer("logits")
    last.set_weights([scale * weight for weight in last.get_weights()])
    return model


def uniforms_of(batch, size):
    """Return the uniform numbers that `generate(batch, seed=0)` uses."""
    return seeded_uniforms(np.arange(batch), (size, size, 1))


def check_first_pixels(images, expected, pixels):
    """Fail unless the first pixels of images are as expected."""
    both = (np.reshape(x, (len(expected), -1))[:, :pixels] for x in (images, expected))
    np.testing.assert_array_equal(*both)


# The first two peers use the library's model and uniform numbers, and draw only the
# first pixels.


def forward_passes(model, uniforms, pixels):
    """Draw pixels with one forward pass each, in a compiled loop.

    It works like the library's ancestral sampler, but ends after `pixels` pixels.
    """
    _, height, width, _ = uniforms.shape
    position = tf.reshape(tf.range(height * width), (1, height, width, 1))

    def step(index, images):
        logits = model(images, training=False)
        drawn = tf.cast(uniforms >= tf.sigmoid(-logits), tf.float32)
        return index + 1, tf.where(position == index, drawn, images)

    start = (tf.constant(0), tf.zeros_like(uniforms))
    return tf.while_loop(lambda index, _: index < pixels, step, start)[1]


def predict_calls(model, uniforms, pixels):
    """Draw pixels with one `predict` call each, like keras.io's PixelCNN example.

    See https://keras.io/examples/generative/pixelcnn/
    """
    images = np.zeros(uniforms.shape, "float32")
    for index in range(pixels):
        row, column = divmod(index, uniforms.shape[2])
        logits = model.predict(images, verbose=0)[:, row, column]
        edges = 1 / (1 + np.exp(logits))
        images[:, row, column] = uniforms[:, row, column] >= edges
    return images


def our_programs(model, batch):
    """Return functions that draw images, by name."""
    options = {"seed": 0, "batch_size": batch, "verbose": 0}
    generate = functools.partial(model.generate, batch, **options)
    return {OURS: generate, OURS + XLA: functools.partial(generate, jit_compile=True)}


def peer_programs(family, model, batch, size, pixels):
    uniforms = uniforms_of(batch, size)
    loop = tf.function(
        lambda uniforms: forward_passes(model, uniforms, pixels), autograph=False
    )
    predict = functools.partial(predict_calls, model, uniforms.numpy(), pixels)
    part = {"scale": size**2 / pixels, "slow": True}
    programs = {LOOP: timing.Program(lambda: loop(uniforms), **part)}
    programs[PREDICT] = timing.Program(predict, **part)
    if family == "PixelCNN":
        # At 28x28 it has 130,323 parameters; a PixelCNN of 7 blocks of 32 units has
        # 129,569. Binary pixels need no mixture.
        options = {"num_logistic_mix": 1, "low": 0, "high": 1}
        peer = tfp_pixel_cnn((size, size, 1), filters=24, **options)
        sample = tf.function(lambda: peer.sample(batch, seed=0), autograph=False)
        programs[TFP] = timing.Program(sample, slow=True)
    return programs


def drawing_rows(benchmark, family):
    options = benchmark.options
    size, pixels = options.size, options.pixels
    model = make_model(family, size, options.quick)
    rows = []
    for batch in (1, 2) if options.quick else (64, 1, PEER_BATCH):
        forward = tf.function(lambda x: model(x, training=False), autograph=False)
        images = tf.constant(timing.binary_images(batch, size))
        programs = {FORWARD: functools.partial(forward, images)}
        programs |= our_programs(model, batch)
        if batch in (2, PEER_BATCH):
            programs |= peer_programs(family, model, batch, size, pixels)
        timings, results = benchmark.time(programs, SLOW_ROUNDS)
        for name in (OURS, OURS + XLA):
            assert_ancestral(model, results[name], slack=TIE)
        for name in {LOOP, PREDICT} & set(results):
            check_first_pixels(results[name], results[OURS], pixels)
        text = f"{size}x{size}, batch {batch}"
        for row in timing.compared(timings, text):
            if OURS in row["program"]:
                row["forward passes"] = row["ms"] / 1000 / timings[FORWARD].median
            rows.append(row)
    return rows


def growth_rows(benchmark, family):
    """Return table rows of the time per image for three image sizes."""
    options = benchmark.options
    batch = 2 if options.quick else PEER_BATCH
    sizes = [options.size // 2, options.size, 2 * options.size]
    sizes = sizes[:2] if options.quick else sizes
    models = {size: make_model(family, size, options.quick) for size in sizes}
    programs = {
        (name, size): run
        for size, model in models.items()
        for name, run in our_programs(model, batch).items()
    }
    timings, _ = benchmark.time(programs)
    rows = []
    for (name, size), found in sorted(timings.items()):
        text = f"{size}x{size}, batch {batch}"
        row = {"program": name, "size": text, "ms": 1000 * found.median / batch}
        if size != sizes[0]:
            row["ratio"] = row["ms"] / rows[-1]["ms"]
        rows.append(row)
    return rows


def main():
    benchmark = timing.Benchmark(__doc__)
    benchmark.add_choice("--family", FAMILIES)
    options = benchmark.start()
    # Height and width, and the pixels drawn by the slow peers.
    options.size, options.pixels = (8, 5) if options.quick else (28, 20)
    for family in options.family:
        size = "tiny" if options.quick else next(iter(steps.FAMILIES[family][2]))
        note = f"{NOTE} Slow programs are extrapolated from {options.pixels} pixels."
        title = f"{family}, {size}: drawing images"
        benchmark.table(title, drawing_rows(benchmark, family), note)
        keras.backend.clear_session()
        title = f"{family}, {size}: growth with the size of the image"
        note = "Per image; the ratio is to the previous size."
        benchmark.table(title, growth_rows(benchmark, family), note)
        keras.backend.clear_session()


if __name__ == "__main__":
    main()
