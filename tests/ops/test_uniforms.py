import math
from statistics import NormalDist

import numpy as np
import tensorflow as tf

from keras_genimg.ops import uniforms
from keras_genimg.ops.uniforms import LATENTS, MAX_SEED, seeded_normals, seeded_uniforms

SEEDS = np.concatenate([np.arange(8), 2 ** np.arange(31, 62, 6), [MAX_SEED]])


def test_same_numbers_eager_in_a_graph_and_under_xla():
    eager = np.asarray(seeded_uniforms(SEEDS, (4, 3, 2)))
    for jit_compile in (False, True):
        run = tf.function(seeded_uniforms, jit_compile=jit_compile)
        np.testing.assert_array_equal(run(tf.constant(SEEDS), (4, 3, 2)), eager)
    # Normal numbers are rounded otherwise.
    compiled = tf.function(seeded_normals, jit_compile=True)(tf.constant(SEEDS), (4,))
    np.testing.assert_allclose(compiled, seeded_normals(SEEDS, (4,)), 1e-5, 1e-6)


def test_uniform_independent_and_below_one():
    draw = tf.function(seeded_uniforms)
    drawn = np.asarray(draw(tf.range(400), (3, 3, 3)), "float64")
    assert drawn.min() >= 0
    assert drawn.max() < 1
    np.testing.assert_array_equal(drawn * 2**24, np.round(drawn * 2**24))
    assert abs(np.histogram(drawn, 10)[0] / drawn.size - 0.1).max() < 0.01
    neighbors = np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]
    assert abs(neighbors) < 0.03
    colors = np.corrcoef(drawn.reshape(-1, 3).T)
    assert abs(colors[np.triu_indices(3, 1)]).max() < 0.05


def test_streams_share_no_numbers():
    streams = [uniforms.PIXELS, LATENTS, *(uniforms.POSTERIOR + k for k in range(5))]
    kinds = (uniforms.CANDIDATES, uniforms.CHOICE)
    streams += [(kind, k) for kind in kinds for k in range(5)]
    seeds = np.append(SEEDS, 2**31 - 1)
    drawn = [np.asarray(seeded_uniforms(seeds, (4,), stream)) for stream in streams]
    drawn = np.concatenate(drawn)  # Including all neighboring seeds.
    # Four uniforms have 96 bits, so two streams do not agree by chance.
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    # Not even at different positions.
    assert len(np.unique(drawn)) > drawn.size - 5


def test_normals_are_finite_and_symmetric_at_the_ends(monkeypatch):
    step = 2.0**-24
    lowest = tf.constant([0, step, 0.25, 0.5 - 2 * step])
    highest = tf.constant([1 - step, 1 - 2 * step, 0.75 - step, 0.5 + step])
    ends = []
    for drawn in (lowest, highest):
        monkeypatch.setattr(uniforms, "seeded_uniforms", lambda *_, drawn=drawn: drawn)
        ends.append(np.asarray(seeded_normals([0], (4,))))
    np.testing.assert_allclose(ends[0], -ends[1], rtol=1e-5)
    assert (ends[0] < 0).all()
    assert 5.2 < ends[1].max() < 5.4


def test_normals_are_distributed_as_such():
    draw = tf.function(seeded_normals)
    drawn = np.sort(np.asarray(draw(tf.range(400), (50,)), "float64").ravel())
    count = drawn.size
    for power, moment, variance in [(1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)]:
        error = (drawn**power).mean() - moment
        assert abs(error) < 4 * math.sqrt(variance / count)
    # Kolmogorov-Smirnov: one seed in a thousand exceeds 1.95.
    expected = np.vectorize(NormalDist().cdf)(drawn)
    ranks = np.arange(count + 1) / count
    distance = max((ranks[1:] - expected).max(), (expected - ranks[:-1]).max())
    assert distance * math.sqrt(count) < 1.95
