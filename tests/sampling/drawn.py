"""Checks of drawn images, and models exported to draw."""

import numpy as np
import tensorflow as tf

from keras_genimg.inputs.images import condition_arrays
from keras_genimg.ops import seeded_uniforms
from keras_genimg.serving import write_saved_model

TIE = 1e-5


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
    uniforms = seeded_uniforms(seeds, images.shape[1:])
    lowest, exact, highest = (
        model.likelihood.sample(params, tf.clip_by_value(u, 0, 1), temperature).numpy()
        for u in (uniforms - slack, uniforms, uniforms + slack)
    )
    if model.likelihood.couples_colors:
        # Another first color gives other ones after it, so all are compared.
        outside = (images != lowest) & (images != exact) & (images != highest)
    else:
        outside = (images < lowest) | (images > highest)
    assert not np.any(outside), f"{np.count_nonzero(outside)} sub-pixels differ"


def assert_served_as_drawn(model, path):
    """Check that an exported model draws the images of `generate`."""
    # Alone, since each further endpoint is traced.
    endpoints = {"sample": model.endpoints(model.image_shape)["sample"]}
    write_saved_model(model, path, endpoints, max_examples=16, verbose=False)
    sample = tf.saved_model.load(str(path)).signatures["sample"]
    images = sample(seed=tf.range(4, dtype=tf.int64))["images"]
    expected = model.likelihood.to_display(model.generate(4, seed=0))
    np.testing.assert_array_equal(images, expected)
