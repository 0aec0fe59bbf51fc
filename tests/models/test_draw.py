import re
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import random_weights, randomize
from keras_genimg.layers import DRAWLoop
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import DRAW
from tests import reference
from tests.by_chance import check_standard_normals, check_uncorrelated
from tests.conformance.registry import model_case


class Kind(NamedTuple):
    """Arguments of a DRAW."""

    image_shape: tuple
    read_size: int | None
    write_size: int | None
    likelihood: object


KINDS = {
    "attention": Kind((5, 7, 1), 3, 2, "bernoulli"),
    "read_only": Kind((5, 7, 1), 3, None, "bernoulli"),
    "write_only": Kind((7, 5, 3), None, 4, Bernoulli(intensities=True)),
    "without": Kind((4, 6, 3), None, None, Categorical(6)),
    "gaussian": Kind((5, 4, 1), 1, 1, "gaussian"),
}


def case_of(name):
    kind = KINDS[name]
    sizes = kind.read_size, kind.write_size
    return model_case(
        "DRAW", kind.image_shape, 3, 6, 4, *sizes, likelihood=kind.likelihood
    )[1]


IMAGES = case_of("attention").example(3)


@pytest.fixture(scope="module")
def model():
    """Return a DRAW with large random weights."""
    model = case_of("attention").make()
    randomize(model, seed=1)
    return model


@pytest.mark.parametrize("kind", KINDS)
def test_loop_equals_a_plain_loop_over_the_papers_equations(kind):
    model, x = case_of(kind).make(), case_of(kind).example(3)
    noise = np.random.default_rng(2).normal(size=(3, len(x), 4)).astype("float32")
    with random_weights(model, 3):
        outputs, canvas = model.loop.run(x, noise)
        weights = {w.path.split("cell/", 1)[1]: w.numpy() for w in model.weights}
        expected = reference.draw(
            x / model.likelihood.max_value,
            noise,
            weights,
            KINDS[kind].read_size,
            KINDS[kind].write_size,
            model.likelihood.params_shape(model.image_shape),
            lambda params: (
                np.asarray(model.likelihood.mean(params)) / model.likelihood.max_value
            ),
        )
        params, _, _ = model.loop.cell.split_outputs(outputs)
    np.testing.assert_allclose(canvas, expected["canvas"], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(params, expected["posterior"], rtol=1e-3, atol=1e-3)


def test_the_cell_runs_in_an_rnn_of_keras(model):
    loop, x = model.loop, IMAGES
    noise = np.random.default_rng(2).normal(size=(3, len(x), 4)).astype("float32")
    outputs, canvas = loop.run(x, noise)
    rnn = keras.layers.RNN(loop.cell, return_sequences=True, return_state=True)
    states = loop.cell.initial_states(x)
    again, _, last_canvas, *_ = rnn(noise.swapaxes(0, 1), initial_state=states)
    np.testing.assert_allclose(again, np.swapaxes(outputs, 0, 1), atol=1e-5)
    np.testing.assert_allclose(last_canvas, canvas, atol=1e-5)


def test_divergence_of_all_steps_has_the_constant_of_all_coordinates():
    """The paper's constant `-T / 2` holds only for a single coordinate."""
    num_glimpses, latent_dim, mean, log_stddev = 5, 4, 0.7, -0.3
    model = DRAW((5, 7, 1), num_glimpses, 6, latent_dim, 3, 2)
    for weight in model.weights:
        weight.assign(tf.zeros_like(weight))
    bias = [mean] * latent_dim + [log_stddev] * latent_dim
    model.loop.cell.posterior_params.bias.assign(bias)
    model(IMAGES)
    (kl,) = model.losses
    terms = mean**2 + np.exp(2 * log_stddev) - 2 * log_stddev
    steps = num_glimpses * latent_dim
    np.testing.assert_allclose(kl, steps * terms / 2 - steps / 2, rtol=1e-5)


def test_noise_of_the_steps_of_one_call_is_uncorrelated(model, monkeypatch):
    seen = []
    run = model.loop.run
    monkeypatch.setattr(
        model.loop, "run", lambda x, noise: seen.append(noise) or run(x, noise)
    )
    images = np.zeros((300, *model.image_shape), "float32")
    model.loop(images), model.loop(images)
    noises = [*seen, model.noise(tf.range(300, dtype=tf.int64), 1)]
    # (calls * steps, images * coordinates): every pair of rows.
    rows = np.concatenate([np.reshape(noise, (3, -1)) for noise in noises])
    check_uncorrelated(rows)
    for row in rows:
        check_standard_normals(row)


def test_canvases_and_attention(model):
    x = IMAGES
    drawn = model.generate_canvases(3, seed=4)
    assert set(drawn) == {"images", "canvases", "write_attention"}
    read = model.reconstruct_canvases(x, seed=4)
    assert set(read) == {*drawn, "read_attention", "kl"}
    for result in (drawn, read):
        assert result["canvases"].shape == (3, 3, *model.image_shape)
        assert result["write_attention"].shape == (3, 3, 5)
        np.testing.assert_allclose(
            result["canvases"][:, -1], result["images"], atol=1e-6
        )
    np.testing.assert_allclose(model.generate(3, seed=4), drawn["images"], atol=1e-6)
    np.testing.assert_allclose(model.reconstruct(x, seed=4), read["images"], atol=1e-6)
    assert read["read_attention"].shape == (3, 3, 5) and read["kl"].shape == (3, 3)
    assert (read["kl"] > 0).all()


@pytest.mark.slow
def test_graph_is_the_same_for_any_number_of_glimpses():
    nodes, ranks = set(), set()
    for num_glimpses in (2, 20):
        loop = DRAWLoop(num_glimpses, (6, 7, 1), 5, 4, 3, 2)
        loop.build((None, 6, 7, 1))

        @tf.function(autograph=False)
        def step(x, noise, loop=loop):
            with tf.GradientTape() as tape:
                loss = tf.reduce_sum(loop.run(x, noise)[1])
            return tape.gradient(loss, loop.trainable_variables[0].value)

        graph = step.get_concrete_function(
            tf.TensorSpec((2, 6, 7, 1)), tf.TensorSpec((num_glimpses, 2, 4))
        ).graph
        functions = [f.graph for f in graph._functions.values() if hasattr(f, "graph")]
        operations = [o for g in (graph, *functions) for o in g.get_operations()]
        nodes.add(len(operations))
        ranks |= {t.shape.rank for o in operations for t in o.outputs}
    assert len(nodes) == 1
    # No tensor (batch, size, size, height, width), not even for the gradient.
    assert max(rank for rank in ranks if rank is not None) <= 4


@pytest.mark.parametrize(
    "name, value",
    [("image_shape", (5, 7)), ("num_glimpses", 0), ("units", 0), ("latent_dim", 0)],
)
def test_constructor_refuses(name, value):
    given = {"image_shape": (5, 7, 1), "num_glimpses": 2, "units": 4, "latent_dim": 3}
    text = re.escape(f"Received: {name}={value}")
    with pytest.raises(ValueError, match=f"(?s)`{name}`.*{text}"):
        DRAW(**{**given, name: value})
