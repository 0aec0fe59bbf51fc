"""Models made of a test's layers, and checks of the images that models draw."""

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.inputs.images import condition_arrays
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.ops import seeded_uniforms
from tests.serving.some_endpoints import write_endpoints

TIE = 1e-5


def model_of(body, *conditions, shape=(5, 4, 1), kernel_size=3, dtype=None):
    """Return a model with random weights whose middle is `body`.

    It is called with the output of a convolution with six filters, and `conditions`,
    further inputs. `dtype` is that of the convolution.
    """
    colors = shape[-1]
    images = keras.Input(shape, name="images")
    x = MaskedConv2D(6, kernel_size, "A", colors, dtype=dtype)(images)
    logits = MaskedConv2D(colors, 1, "B", colors, dtype="float32")(body(x, *conditions))
    inputs = [images, *conditions] if conditions else images
    model = AutoregressiveModel(inputs, logits, "bernoulli")
    randomize(model)
    return model


def assert_ancestral(
    model, images, conditions=None, temperature=1.0, slack=0.0, seeds=None
):
    """Check that images are those of the ancestral sampler for some seeds.

    By default, the seeds are 0, 1, 2, and so on. One forward pass is enough: parameters
    depend only on earlier pixels, so only the ancestral images are drawn from their own
    parameters. With `slack=TIE`, ties may be rounded either way.
    """
    assert len(np.unique(images)) > 1
    arrays = condition_arrays(model, conditions, len(images))
    given = tf.constant(images, tf.float32)
    params = model([given, *map(tf.constant, arrays)] if arrays else given)
    seeds = np.arange(len(images)) if seeds is None else seeds
    likelihood = model.likelihood
    differ = differences(likelihood, params, images, seeds, temperature, slack)
    assert not np.any(differ), f"{np.count_nonzero(differ)} sub-pixels differ"


def differences(likelihood, params, images, seeds, temperature=1.0, slack=0.0):
    """Return where images are not those that seeds draw from parameters.

    A random number may fall on either side of a threshold no farther than `slack`.
    """
    uniforms = seeded_uniforms(seeds, images.shape[1:])
    # Several numbers in between, since a likelihood need not draw larger values from
    # larger numbers.
    drawn = [
        likelihood.sample(params, tf.clip_by_value(u, 0, 1), temperature).numpy()
        for u in (uniforms + shift * slack for shift in np.linspace(-1, 1, 9))
    ]
    if likelihood.couples_colors:
        # Another first color gives other ones after it, so all are compared.
        return np.all([images != each for each in drawn], axis=0)
    return (images < np.min(drawn, axis=0)) | (images > np.max(drawn, axis=0))


def assert_served_as_drawn(model, path):
    """Check that an exported model draws the images of the ancestral sampler."""
    # Alone, since each further endpoint is traced.
    write_endpoints(model, path, "sample", max_examples=16)
    sample = tf.saved_model.load(str(path)).signatures["sample"]
    images = sample(seed=tf.range(4, dtype=tf.int64))["images"]
    assert_ancestral(model, model.likelihood.from_display(images.numpy()))


def all_logits(params):
    """Return the logits of all values, float64; that of black is 0 for Bernoulli."""
    params = np.asarray(params, "float64")
    if params.ndim == 4:
        params = np.stack([np.zeros_like(params), params], axis=-1)
    return params


def draw_one_by_one(model, uniforms, temperature=1.0, images=0, known=0, conditions=()):
    """Draw in plain NumPy, from the distribution function of each sub-pixel.

    The pixels of `images` where `known` is 1 are kept.
    """
    uniforms = np.asarray(uniforms, "float64")
    known = np.broadcast_to(known, uniforms.shape)
    drawn = np.where(known, images, 0.0 * uniforms)
    for r, c, k in np.ndindex(*uniforms.shape[1:]):
        params = model([drawn, *conditions] if conditions else drawn)
        logits = all_logits(params)[:, r, c, k] / temperature
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        steps = np.cumsum(p / p.sum(axis=-1, keepdims=True), axis=-1)
        u = uniforms[:, r, c, k, None]
        assert abs(u - steps).min() > 1e-5, "a tie; choose other seeds"
        values = (u >= steps[:, :-1]).sum(axis=-1)
        drawn[:, r, c, k] = np.where(known[:, r, c, k], drawn[:, r, c, k], values)
    return drawn
