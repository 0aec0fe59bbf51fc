import numpy as np
import tensorflow as tf

from keras_genimg.ops.uniforms import LATENTS, MAX_SEED, row_uniforms

SEEDS = np.concatenate([np.arange(40), 2 ** np.arange(31, 62), [MAX_SEED]])


def test_same_numbers_eager_in_a_graph_and_under_xla():
    eager = np.asarray(row_uniforms(SEEDS, (4, 3, 2)))
    for jit_compile in (False, True):
        run = tf.function(row_uniforms, jit_compile=jit_compile)
        np.testing.assert_array_equal(run(tf.constant(SEEDS), (4, 3, 2)), eager)


def test_uniform_independent_and_below_one():
    drawn = np.asarray(row_uniforms(np.arange(400), (25,)), "float64")
    assert drawn.min() >= 0
    assert drawn.max() < 1
    np.testing.assert_array_equal(drawn * 2**24, np.round(drawn * 2**24))
    assert abs(np.histogram(drawn, 10)[0] / drawn.size - 0.1).max() < 0.01
    neighbors = np.corrcoef(drawn[:-1].ravel(), drawn[1:].ravel())[0, 1]
    assert abs(neighbors) < 0.03


def test_rows_and_streams_differ():
    assert len(np.unique(np.asarray(row_uniforms(SEEDS, (3,))), axis=0)) == len(SEEDS)
    pixels, latents = row_uniforms([5], (9,)), row_uniforms([5], (9,), LATENTS)
    assert (np.asarray(pixels) != np.asarray(latents)).all()
