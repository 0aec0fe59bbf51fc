"""`DiscretizedLogisticMixture`, compared with its definition in float64."""

import itertools

import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from tests.reference import logistic

MIXTURE = DiscretizedLogisticMixture(5, 2)


def masses(mean, log_scale, num_values):
    """Return the probability of each value of one logistic, in float64."""
    scale = np.exp(max(log_scale - 1, -7))
    found = []
    for v in range(num_values):
        center = 2 * v / (num_values - 1) - 1
        low = (center - 1 / (num_values - 1) - mean) / scale
        high = (center + 1 / (num_values - 1) - mean) / scale
        if v == 0:
            found.append(logistic(high))
        elif v == num_values - 1:
            found.append(logistic(-low))
        elif low > 0:  # A difference of upper tails, which are small here.
            found.append(logistic(-low) - logistic(-high))
        else:
            found.append(logistic(high) - logistic(low))
    return np.array(found)


def joint(params, pixel, num_values, num_components):
    """Return the probability of the first colors of a pixel, by the definition."""
    params = np.array(params, "float64").reshape(-1, num_components)
    groups = len(params)
    num_colors = next(c for c in range(9) if (c + 1) * (c + 2) == 2 * groups)
    pairs = [(c, d) for c in range(num_colors) for d in range(c)]
    weights = np.exp(params[0]) / np.exp(params[0]).sum()
    total = 0
    for k in range(num_components):
        product = weights[k]
        for c, value in enumerate(pixel):
            mean = params[1 + c, k]
            for d in range(c):
                coefficient = params[1 + 2 * num_colors + pairs.index((c, d)), k]
                scaled = 2 * pixel[d] / (num_values - 1) - 1
                mean += np.tanh(coefficient) * scaled
            log_scale = params[1 + num_colors + c, k]
            product *= masses(mean, log_scale, num_values)[int(value)]
        total += product
    return total


def conditional(params, earlier, likelihood, temperature=1.0):
    """Return the probabilities of the next color, given the earlier ones."""
    sizes = (likelihood.num_values, likelihood.num_components)
    p = [joint(params, [*earlier, v], *sizes) for v in range(likelihood.num_values)]
    p = np.array(p) ** (1 / temperature)
    return p / p.sum()


def random_params(likelihood, shape, spread=1.5, seed=0):
    size = likelihood.params_shape(shape[-3:])
    params = np.random.default_rng(seed).normal(0, spread, (*shape[:-3], *size))
    return params.astype("float32")


@pytest.mark.parametrize("num_colors", [1, 2, 3, 4])
@pytest.mark.parametrize("sizes", [(2, 3), (3, 1), (7, 4)])
def test_log_prob_by_the_definition(num_colors, sizes):
    likelihood = DiscretizedLogisticMixture(*sizes)
    shape = (2, 1, 3, num_colors)
    params = random_params(likelihood, shape)
    images = np.random.default_rng(1).integers(sizes[0], size=shape)
    actual = likelihood.log_prob(params, images.astype("uint8"))
    assert actual.shape == shape[:3] and actual.dtype == tf.float32
    for place in np.ndindex(*shape[:3]):
        expected = np.log(joint(params[place], images[place], *sizes))
        np.testing.assert_allclose(actual[place], expected, rtol=1e-5, atol=1e-5)
    whole = likelihood.log_prob_of_images(params, images)
    np.testing.assert_allclose(whole, np.sum(actual, axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("log_scale", [2.0, 0.0, -2.0, -3.5, -6.0, -20.0])
def test_log_prob_in_the_tails(log_scale):
    """All 256 values of one logistic, most of them far from its mean."""
    likelihood = DiscretizedLogisticMixture(256, 1)
    for mean in (0.0, 0.9, -1.3):
        params = np.tile(np.array([0, mean, log_scale], "float32"), (256, 1))
        actual = likelihood.log_prob(params, np.arange(256)[:, None]).numpy()
        expected = masses(float(params[0, 1]), log_scale, 256)
        # Below 1e-290, float64 cannot hold the reference's differences.
        seen = expected > 1e-290
        assert seen.sum() > 30
        expected = np.log(expected[seen])
        np.testing.assert_allclose(actual[seen], expected, rtol=2e-5, atol=2e-4)
        np.testing.assert_allclose(np.exp(actual.astype("float64")).sum(), 1, rtol=2e-4)


@pytest.mark.parametrize("log_scale", [12.0, 20.0, 80.0, 1e4])
def test_inner_values_of_a_huge_scale(log_scale):
    """Each has the width of its interval times the density at the mean, 1/4."""
    params = np.tile(np.array([0, 0, log_scale], "float32"), (254, 1))
    actual = DiscretizedLogisticMixture(256, 1).log_prob(params, np.c_[1:255])
    expected = np.log(2 / 255) - (log_scale - 1) + np.log(1 / 4)
    np.testing.assert_allclose(actual, np.full(254, expected), rtol=1e-5)


EXTREMES = (-1e30, -1e4, -50.0, 0.0, 1e4, 1e30)


def test_finite_at_extremes():
    likelihood = DiscretizedLogisticMixture(256, 2)
    every = np.array(list(itertools.product(EXTREMES, repeat=4)), "float32")
    logit, mean, log_scale, coefficient = every.T
    zero = np.zeros_like(logit)
    params = np.stack(
        [logit, zero, mean, zero, mean, zero, *4 * [log_scale], coefficient, zero], -1
    )
    params = tf.constant(params)
    for red, green in itertools.product((0, 128, 255), repeat=2):
        pixel = tf.constant([[red, green]] * len(every), tf.float32)
        for warm, most in ((False, 1e-5), (True, 1e-3)):
            with tf.GradientTape() as tape:
                tape.watch(params)
                given = likelihood.at_temperature(params, 2.0) if warm else params
                log_prob = likelihood.log_prob(given, pixel)
            assert np.isfinite(log_prob).all() and np.max(log_prob) <= most
            assert np.isfinite(tape.gradient(log_prob, params)).all()
    top = np.nextafter(np.float32(1), np.float32(0))
    for uniform in (0.0, 0.5, top):
        uniforms = np.full((len(every), 2), uniform, "float32")
        for temperature in (1.0, 0.1):
            drawn = likelihood.sample(params, uniforms, temperature)
            likelihood.check_images(drawn.numpy())
    with tf.GradientTape() as tape:
        tape.watch(params)
        mean = likelihood.mean(params)
    assert np.isfinite(tape.gradient(mean, params)).all()
    assert np.min(mean) >= 0 and np.max(mean) <= 255 + 1e-3


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_sample_inverts_each_exact_conditional(temperature):
    likelihood = DiscretizedLogisticMixture(6, 3)
    num_draws = 2000
    grid = np.linspace(0, 1, num_draws, endpoint=False, dtype="float32")
    for seed in range(3):
        one = random_params(likelihood, (1, 1, 3), seed=seed)[0, 0]
        params = np.tile(one, (num_draws, 1))
        uniforms = np.tile(np.array([0.7, 0.35, 0.5], "float32"), (num_draws, 1))
        earlier = []
        for color in range(3):
            varied = uniforms.copy()
            varied[:, color] = grid
            drawn = likelihood.sample(params, varied, temperature).numpy()
            assert (drawn[:, :color] == earlier).all()
            assert (np.diff(drawn[:, color]) >= 0).all()
            found = np.bincount(drawn[:, color].astype(int), minlength=6) / num_draws
            p = conditional(one, earlier, likelihood, temperature)
            np.testing.assert_allclose(found, p, atol=1.01 / num_draws)
            earlier.append(np.searchsorted(np.cumsum(p), uniforms[0, color]))


@pytest.mark.parametrize("num_values", [2, 3, 4, 5, 255, 256, 257, 1000])
def test_sample_of_many_values(num_values):
    """The distribution function, in float64, steps over the uniform at the value."""
    likelihood = DiscretizedLogisticMixture(num_values, 3)
    params = random_params(likelihood, (2000, 1, 1, 1))[:, 0, 0]
    uniforms = np.random.default_rng(2).uniform(size=(2000, 1)).astype("float32")
    logits, means, log_scales = np.split(params.astype("float64")[..., None], 3, 1)
    edges = (2 * np.arange(num_values - 1) + 2 - num_values) / (num_values - 1)
    below = logistic((edges - means) / np.exp(np.maximum(log_scales - 1, -7)))
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    steps = (weights * below).sum(1)
    drawn = likelihood.sample(params, uniforms).numpy()[:, 0]
    rounded = np.abs(uniforms - steps).min(1) < 1e-6
    assert rounded.mean() < 0.01
    expected = (uniforms >= steps).sum(1)
    np.testing.assert_array_equal(drawn[~rounded], expected[~rounded])
    assert drawn.min() == 0 and drawn.max() == num_values - 1


def test_sample_does_not_depend_on_other_temperatures():
    """Rounding decides some of so many pixels, in the same way in every batch."""
    likelihood = DiscretizedLogisticMixture(256, 2)
    params = random_params(likelihood, (30000, 1, 1, 1))[:, 0, 0]
    uniforms = np.random.default_rng(2).uniform(size=(30000, 1)).astype("float32")
    temperature = np.ones((30000, 1), "float32")
    alone = likelihood.sample(params, uniforms, temperature)
    temperature[-1] = 0.5
    merged = likelihood.sample(params, uniforms, temperature)
    np.testing.assert_array_equal(merged[:-1], alone[:-1])


def test_log_prob_at_temperature():
    shape = (2, 1, 2, 3)
    params = random_params(MIXTURE, shape)
    images = np.random.default_rng(1).integers(5, size=shape)
    temperature = np.array([0.5, 2], "float32").reshape(2, 1, 1, 1)
    actual = MIXTURE.log_prob(MIXTURE.at_temperature(params, temperature), images)
    for place in np.ndindex(2, 1, 2):
        x, t = images[place], temperature.flat[place[0]]
        p = [conditional(params[place], x[:c], MIXTURE, t)[x[c]] for c in range(3)]
        np.testing.assert_allclose(actual[place], np.sum(np.log(p)), rtol=1e-4)
    one = MIXTURE.log_prob(MIXTURE.at_temperature(params, 1), images)
    expected = MIXTURE.log_prob(params, images)
    np.testing.assert_allclose(one, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_colors", [1, 3])
def test_mean(num_colors):
    every = np.array(list(itertools.product(range(5), repeat=num_colors)))
    params = random_params(MIXTURE, (1, 1, 1, num_colors), 0.7)

    def found_and_expected(params):
        p = [joint(params[0, 0, 0], x, 5, 2) for x in every]
        return MIXTURE.mean(params)[0, 0, 0], np.array(p) @ every

    found, expected = found_and_expected(params)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5)
    # Later colors lose the effect of the edges, at most.
    np.testing.assert_allclose(found, expected, atol=0.1)
    # All colors are exact if there are no coefficients.
    params[..., 2 * (1 + 2 * num_colors) :] = 0
    np.testing.assert_allclose(*found_and_expected(params), rtol=1e-5)


def test_sizes_and_name():
    likelihood = likelihoods.get("logistic_mixture")
    assert likelihood == DiscretizedLogisticMixture(256, num_components=10)
    assert likelihood.params_shape((8, None, 3)) == (8, None, 100)
    assert likelihood.params_shape((8, 9, 1)) == (8, 9, 30)
    assert likelihood.dtype == np.uint8 and likelihood.max_value == 255


def test_refuses_parameters_of_other_images():
    params = np.zeros((1, 2, 2, 20), "float32")
    pixels = np.zeros((1, 2, 2, 1), "float32")
    expected = r"expects 6 parameters .* 1 colors.*likelihood_head.*Received: .*20\)"
    for method in (MIXTURE.log_prob, MIXTURE.sample):
        with pytest.raises(ValueError, match=expected):
            method(params, pixels)
    for method in (MIXTURE.mean, lambda params: MIXTURE.at_temperature(params, 1)):
        with pytest.raises(ValueError, match="expects 20 parameters.*Received.*19"):
            method(params[..., :19])
