"""Bounds and estimates for models with a known marginal likelihood.

    z ~ N(0, I),  x ~ N(W z + b, s^2 I),  so  x ~ N(b, W W^T + s^2 I)

and the posterior is a normal distribution with a mean that is linear in x.
"""

import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_genimg.latents.marginal_likelihood import marginal_log_likelihood
from keras_genimg.likelihoods import Likelihood
from keras_genimg.models import VAE

SHAPE, DIM, STDDEV = (3, 2, 1), 3, 0.1


class FixedNormal(Likelihood):
    """Normal pixels with any mean and a fixed standard deviation."""

    params_size = 1

    def distribution(self, params):
        return tfp.distributions.Normal(params, STDDEV)


def set_posterior(model, exact, width=1.0, shift=0.0):
    """Set the encoder to the exact posterior, or to a wider, shifted one."""
    factor = np.linalg.cholesky(exact.posterior_covariance)
    np.fill_diagonal(factor, np.log(width * np.diag(factor)))
    triangle = np.asarray(tfp.math.fill_triangular_inverse(factor))
    kernel = np.zeros((6, DIM + len(triangle)))
    kernel[:, :DIM] = exact.posterior_map.T
    offset = shift - exact.posterior_map @ exact.bias
    model.latent.parameters.set_weights([kernel, np.append(offset, triangle)])


@pytest.fixture(scope="module")
def exact():
    """Return a linear model and its exact quantities in float64."""
    generator = np.random.default_rng(0)
    weights = generator.normal(size=(6, DIM)) * 0.15
    bias = np.full(6, 0.5)
    images = bias + generator.normal(size=(12, DIM)) @ weights.T
    images += STDDEV * generator.normal(size=images.shape)
    images = images.clip(0, 1).astype("float32")
    covariance = weights @ weights.T + STDDEV**2 * np.eye(6)
    offset = images - bias
    distance = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(covariance), offset)
    posterior_covariance = np.linalg.inv(np.eye(DIM) + weights.T @ weights / STDDEV**2)

    vectors = keras.Input((DIM,))
    params = keras.layers.Reshape(SHAPE)(keras.layers.Dense(6)(vectors))
    inputs = keras.Input(SHAPE)
    model = VAE(
        SHAPE,
        DIM,
        likelihood=FixedNormal(),
        encoder=keras.Model(inputs, keras.layers.Flatten()(inputs)),
        decoder=keras.Model(vectors, params),
        posterior="full_normal",
    )
    model.decoder.set_weights([weights.T, bias])
    return types.SimpleNamespace(
        model=model,
        images=images.reshape(-1, *SHAPE),
        bias=bias,
        log_prob=-(distance + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2,
        posterior_covariance=posterior_covariance,
        posterior_map=posterior_covariance @ weights.T / STDDEV**2,
    )


def test_bounds_are_exact_for_the_exact_posterior(exact):
    set_posterior(exact.model, exact)
    one = exact.model.log_prob(exact.images, num_samples=1, seed=0)
    np.testing.assert_allclose(one, exact.log_prob, atol=1e-3)
    # More than one batch of the samples of an image.
    many = exact.model.log_prob(exact.images, num_samples=250, seed=0)
    np.testing.assert_allclose(many, exact.log_prob, atol=1e-3)
    # With a closed-form divergence, only log p(x | z) is noisy. The means of 2,400
    # samples have a deviation of 0.027, and their mean one of 0.005, measured over 20
    # seeds: the limits are at least 5.6 deviations, a level of 1e-6 for all.
    elbo = exact.model.elbo(exact.images, num_samples=2400, seed=0)
    np.testing.assert_allclose(elbo, exact.log_prob, atol=0.15)
    np.testing.assert_allclose(elbo.mean(), exact.log_prob.mean(), atol=0.05)


def test_bounds_are_ordered_for_another_posterior(exact):
    set_posterior(exact.model, exact, width=1.3, shift=0.1)
    # One value of `many` has a deviation of 0.025, and their mean has one of 0.005: the
    # limits are 6 deviations, a level of 3e-8 for all.
    elbo = exact.model.elbo(exact.images, num_samples=2400, seed=0)
    many = exact.model.log_prob(exact.images, num_samples=2400, seed=0)
    assert (elbo < exact.log_prob - 0.1).all()
    assert (elbo < many - 0.1).all()
    np.testing.assert_allclose(many, exact.log_prob, atol=0.15)
    np.testing.assert_allclose(many.mean(), exact.log_prob.mean(), atol=0.03)


@pytest.mark.parametrize(
    "width, shift",
    [
        (3.0, -1.0),
        pytest.param(1.0, 0.0, marks=pytest.mark.slow),
        pytest.param(0.3, 0.3, marks=pytest.mark.slow),
    ],
)
def test_marginal_likelihood_whatever_the_encoder(exact, width, shift):
    set_posterior(exact.model, exact, width, shift)
    # Measured over 16 seeds, a value has a deviation of at most 0.036, and their mean
    # one of 0.0065: the limits are at least 7.7 deviations, a level below 1e-9 if
    # errors are normal. With the 50 samples of the default, they are not: one was 1.4.
    estimate = exact.model.marginal_log_likelihood(
        exact.images, seed=1, num_samples=400
    )
    assert (estimate.dtype, estimate.shape) == (np.float32, (12,))
    np.testing.assert_allclose(estimate, exact.log_prob, atol=0.3)
    np.testing.assert_allclose(estimate.mean(), exact.log_prob.mean(), atol=0.05)


def test_seeds_and_data_sets(exact):
    set_posterior(exact.model, exact)
    estimate = exact.model.marginal_log_likelihood
    settings = {"num_samples": 20, "num_burnin": 20}
    one = estimate(exact.images, seed=2, batch_size=5, **settings)
    data = tf.data.Dataset.from_tensor_slices(exact.images).batch(5)
    np.testing.assert_array_equal(estimate(data, seed=2, **settings), one)
    other = estimate(exact.images, seed=3, batch_size=5, **settings)
    assert (other != one).all()


def test_four_latents_and_a_narrow_density():
    """The log-joint is the log density of N(2, diag(0.01^2, 1, 1, 1)) minus 70."""
    stddev = np.float32([0.01, 1, 1, 1])
    known = tfp.distributions.MultivariateNormalDiag([2.0] * 4, stddev)

    def estimate(guesses, num_samples):
        return marginal_log_likelihood(
            lambda z: known.log_prob(z) - 70, guesses, num_samples, 4, 200, (0, 1)
        )

    estimate = tf.function(
        estimate,
        input_signature=[tf.TensorSpec((None, None, 4)), tf.TensorSpec((), tf.int32)],
        autograph=False,
    )
    # Chains start a hundred deviations off, with well-proportioned steps.
    noise = np.random.default_rng(0).normal(size=(20, 30, 4)) * stddev
    drawn = np.asarray(estimate(noise + 1, 100))
    # Measured over 8 seeds, the mean has a deviation of 0.019: a level of 2e-7.
    np.testing.assert_allclose(drawn.mean(), -70, atol=0.1)
    assert drawn.std() < 0.3
    assert np.isfinite(estimate(noise + 1, 5)).all()
    # The first steps are zero if there is no spread.
    assert np.isfinite(estimate(np.zeros((20, 30, 4)), 20)).all()


def test_a_chain_misses_other_modes():
    """Half of a mixture of N(-20, 1) and N(20, 1), times e^-70, is missed."""
    mixture = tfp.distributions.MixtureSameFamily(
        tfp.distributions.Categorical([0.0, 0.0]),
        tfp.distributions.MultivariateNormalDiag([[-20.0], [20.0]], [[1.0], [1.0]]),
    )

    # One latent and an unknown batch size make some adaptations of TFP fail.
    @tf.function(input_signature=[tf.TensorSpec((None, None, 1))], autograph=False)
    def estimate(guesses):
        return marginal_log_likelihood(
            lambda z: mixture.log_prob(z) - 70, guesses, 100, 4, 100, (0, 1)
        )

    # Fifteen chains start in each mode.
    modes = np.repeat([[-20.0], [20.0]], 15, axis=0)
    noise = np.random.default_rng(0).normal(size=(20, 30, 1))
    drawn = np.asarray(estimate((modes + noise).astype("float32")))
    # Measured over 8 seeds, one has a deviation of 0.04 and the mean one of 0.006: the
    # limits are 7 deviations, a level of 1e-10.
    np.testing.assert_allclose(drawn, -70 - np.log(2), atol=0.3)
    np.testing.assert_allclose(drawn.mean(), -70 - np.log(2), atol=0.1)


def test_what_is_refused(exact):
    images = exact.images
    for arguments, text in [
        ({"num_samples": 19}, "at least 20.*Received: num_samples=19"),
        ({"num_samples": 0}, "Received: num_samples=0"),
        ({"num_leapfrog_steps": 0}, "Received: num_leapfrog_steps=0"),
        ({"num_burnin": 1.5}, "Received: num_burnin=1.5"),
        ({"seed": [1, 2]}, "one integer here"),
        ({"images": images - 1}, "real numbers from 0 to 1"),
    ]:
        with pytest.raises(ValueError, match=f"(?s){text}"):
            exact.model.marginal_log_likelihood(**{"images": images, **arguments})
    with pytest.raises(ValueError, match="fewer than 5 latents.*latent_dim=5"):
        VAE(SHAPE, 5, 2).marginal_log_likelihood(np.zeros((1, *SHAPE)))
