import numpy as np
import tensorflow as tf
from scipy import stats

from keras_genimg.ops import uniforms
from keras_genimg.ops.uniforms import LATENTS, MAX_SEED, seeded_normals, seeded_uniforms
from tests.by_chance import LEVEL, check_means, check_shares, check_uncorrelated

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
    drawn = np.asarray(draw(tf.range(1000), (3, 3, 3)), "float64")
    assert drawn.min() >= 0
    assert drawn.max() < 1
    np.testing.assert_array_equal(drawn * 2**24, np.round(drawn * 2**24))
    check_shares((10 * drawn).astype(int).ravel(), np.ones(10))
    check_uncorrelated([drawn[:-1].ravel(), drawn[1:].ravel()])
    check_uncorrelated(drawn.reshape(-1, 3).T)


def test_streams_share_no_numbers():
    streams = [uniforms.PIXELS, LATENTS, *(uniforms.POSTERIOR + k for k in range(5))]
    kinds = (uniforms.CANDIDATES, uniforms.CHOICE)
    streams += [(kind, k) for kind in kinds for k in range(5)]
    seeds = np.append(SEEDS, 2**31 - 1)
    drawn = [np.asarray(seeded_uniforms(seeds, (4,), stream)) for stream in streams]
    drawn = np.concatenate(drawn)  # Including all neighboring seeds.
    # Four uniforms have 96 bits, so two streams do not agree by chance.
    assert len(np.unique(drawn, axis=0)) == len(drawn)
    # Not even at different positions. Five coincidences of about 1,000 numbers have a
    # probability below 1e-9.
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
    drawn = np.asarray(draw(tf.range(1000), (50,)), "float64").ravel()
    powers = drawn[:, None] ** [1, 2, 3, 4]
    check_means(powers, [0, 1, 0, 3], np.sqrt([1, 2, 15, 96]))
    # Kolmogorov-Smirnov.
    assert stats.kstest(drawn, "norm").pvalue > LEVEL
