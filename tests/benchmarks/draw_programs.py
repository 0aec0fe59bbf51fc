"""Settings of DRAW, and its training step as our loop and unrolled."""

import dataclasses

import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DRAWLoop
from tests.benchmarks import draw_peers


@dataclasses.dataclass(frozen=True)
class Setting:
    """Sizes of DRAW on black and white square images."""

    glimpses: int
    units: int
    latent_dim: int
    read_size: int
    write_size: int
    side: int
    batch: int

    def __str__(self):
        return f"{self.glimpses} glimpses, h={self.units}, batch {self.batch}"


MNIST = Setting(64, 256, 100, 2, 5, 28, 64)
TINY = Setting(3, 8, 4, 2, 3, 6, 2)

OURS = "keras_genimg"
UNROLLED = "plain TensorFlow, unrolled"
XLA = ", XLA"


def random_loop(setting):
    """Return a loop with random weights, images and noise."""
    random = np.random.default_rng(0)
    shape = (setting.side, setting.side, 1)
    loop = DRAWLoop(
        setting.glimpses,
        shape,
        setting.units,
        setting.latent_dim,
        setting.read_size,
        setting.write_size,
        name="loop",
    )
    loop.build((None, *shape))
    randomize(loop, gain=0.5)
    images = random.integers(0, 2, (setting.batch, *shape)).astype("float32")
    noise = random.normal(size=(setting.glimpses, setting.batch, setting.latent_dim))
    return loop, images, noise.astype("float32")


def weights_of(loop):
    """Return a dict of the weights, keyed by their paths inside the cell."""
    prefix = "loop/cell/"
    return {w.path.removeprefix(prefix): w.value for w in loop.trainable_weights}


def our_loss(loop, images, noise):
    outputs, canvas = loop.run(images, noise)
    likelihood = loop.cell.likelihood
    log_prob = likelihood.log_prob(loop.cell.params(canvas), images)
    divergence = tf.reduce_sum(loop.divergences(outputs))
    return (divergence - tf.reduce_sum(log_prob)) / images.shape[0]


def our_step(loop, images, noise, jit_compile):
    """Return an untraced `tf.function` of images and noise."""
    weights = weights_of(loop)

    @tf.function(jit_compile=jit_compile, autograph=False)
    def step(images, noise):
        with tf.GradientTape() as tape:
            loss = our_loss(loop, images, noise)
        return loss, tape.gradient(loss, weights)

    return step


def unrolled_step(loop, setting):
    """Return an untraced `tf.function` of images and noise."""
    weights = {
        name: tf.Variable(value.numpy()) for name, value in weights_of(loop).items()
    }
    sizes = setting.read_size, setting.write_size

    @tf.function(autograph=False)
    def step(images, noise):
        with tf.GradientTape() as tape:
            read = {name: weight.read_value() for name, weight in weights.items()}
            loss = draw_peers.unrolled_draw(images, noise, read, *sizes)
        return loss, tape.gradient(loss, weights)

    return step
