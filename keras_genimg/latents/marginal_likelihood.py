"""Estimate of the marginal likelihood of models with few latent variables."""

import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.ops.uniforms import POSTERIOR, seeded_uniforms

tfp = import_probability()

# Initial step size of a chain, relative to the standard deviation of the guesses.
_FIRST_STEP = 0.1
# Adaptation of the step size: part of the burn-in, target acceptance, and rate.
_ADAPTING, _ACCEPTANCE, _RATE = 0.8, 0.95, 0.05
# Each transition multiplies a chain's step size by a number in this range.
_JITTER = (0.5, 1.5)
# Relative increase of each variance, so that no covariance is singular.
_RIDGE = 1e-5


def log_likelihood_near(posterior, log_joint, seeds, num_samples, *counts):
    """Estimate `log p(x)` of images in nats, given an approximate posterior of each.

    Args:
        posterior: TFP distribution of latent vectors, from which chains start, with
            batch shape `(batch,)` and event shape `(latent_dim,)`.
        log_joint: See `marginal_log_likelihood`.
        seeds: Integers from 0 to `MAX_SEED`, `(batch,)`. All images share the noise of
            the first seed.
        num_samples: See `marginal_log_likelihood`.
        *counts: Its `num_leapfrog_steps` and `num_burnin`.
    """
    # TFP's samplers are seeded with two numbers of 24 bits each.
    keys = tf.cast(seeded_uniforms(seeds[:1], (2, 2), POSTERIOR) * 2.0**24, tf.int32)
    guesses = posterior.sample(num_samples, seed=keys[0, 0])
    return marginal_log_likelihood(
        log_joint, guesses, num_samples, *counts, seed=keys[0, 1]
    )


def marginal_log_likelihood(
    log_joint, guesses, num_samples, num_leapfrog_steps, num_burnin, seed
):
    """Estimate `log p(x)` from samples of the posterior, for a graph.

    1. Draw L samples of `p(z | x)` by Hamiltonian Monte Carlo.
    2. Fit a normal density `q(z)` to them, with their mean and covariance.
    3. Draw L further samples z_l of `p(z | x)`. Since the mean over the posterior of
       `q(z) / (p(z) p(x | z))` is `1 / p(x)`,

           log p(x) ~ -log(1 / L * sum over l of q(z_l) / (p(z_l) p(x | z_l)))

    Each image has one chain, and all chains step together. A chain cannot cross between
    modes that are far apart. If it only visits a mode with the fraction w of the
    posterior, the estimate is too low by `-log w`, which is log K for K equal modes.
    Neither more samples nor a longer burn-in helps.

    The step size is proportional to the standard deviation of the guesses, times a
    factor that adapts during burn-in. Each variance of `q` is increased by 1e-5 of
    itself, so that the covariance is never singular.

    Args:
        log_joint: Function of `z`, `(batch, latent_dim)`, that returns
            `log p(z) + log p(x | z)` in nats, `(batch,)`.
        guesses: Samples of an approximate posterior, `(guesses, batch, latent_dim)`.
            Chains start from the first.
        num_samples: Scalar, L.
        num_leapfrog_steps: Scalar, steps of the integrator before each sample.
        num_burnin: Scalar, samples that are dropped at the start of a chain.
        seed: Integer or two, for stateless random functions.

    Returns:
        Nats, float32, `(batch,)`.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, appendix D,
        https://arxiv.org/abs/1312.6114
    """
    sampler = _JitteredHMC(
        log_joint, _FIRST_STEP * _stddev(guesses), num_leapfrog_steps
    )
    adapting = tf.cast(_ADAPTING * tf.cast(num_burnin, tf.float32), tf.int32)
    # TFP's dual averaging adaptation fails for one latent and an unknown batch size.
    sampler = tfp.mcmc.SimpleStepSizeAdaptation(
        sampler, adapting, _ACCEPTANCE, adaptation_rate=_RATE
    )
    latents, log_joints = tfp.mcmc.sample_chain(
        2 * num_samples,
        guesses[0],
        kernel=sampler,
        num_burnin_steps=num_burnin,
        trace_fn=lambda _, results: (
            results.inner_results.accepted_results.target_log_prob
        ),
        seed=seed,
    )
    density = _fitted_normal(latents[:num_samples])
    log_ratios = density.log_prob(latents[num_samples:]) - log_joints[num_samples:]
    count = tf.cast(num_samples, tf.float32)
    return tf.math.log(count) - tf.reduce_logsumexp(log_ratios, axis=0)


class _JitteredHMC(tfp.mcmc.HamiltonianMonteCarlo):
    """Hamiltonian Monte Carlo with a random step size for each transition.

    With few latents, chains accept steps so long that a path of fixed length often ends
    where it began, or at the opposite point, since a normal posterior is an oscillator.

    References:
        Neal, MCMC using Hamiltonian dynamics, 2011, section 5.4.2.2,
        https://arxiv.org/abs/1206.1901
    """

    def one_step(self, current_state, previous_kernel_results, seed=None):
        seed, jitter_seed = tfp.random.split_seed(seed, n=2)
        step = previous_kernel_results.accepted_results.step_size
        jitter = tf.random.stateless_uniform(
            (tf.shape(step)[0], 1), jitter_seed, *_JITTER
        )
        state, results = super().one_step(
            current_state, _with_step(previous_kernel_results, jitter * step), seed
        )
        return state, _with_step(results, step)


def _with_step(results, step):
    """Return the results of an HMC transition with another step size."""
    accepted = results.accepted_results._replace(step_size=step)
    return results._replace(accepted_results=accepted)


def _stddev(samples):
    """Return the standard deviation of samples over the first axis, never 0."""
    return tf.math.reduce_std(samples, axis=0) + 1e-6


def _fitted_normal(samples):
    """Return the normal distributions of samples, `(samples, batch, latent_dim)`."""
    mean, stddev = tf.reduce_mean(samples, axis=0), _stddev(samples)
    scaled = (samples - mean) / stddev
    count = tf.cast(tf.shape(samples)[0], tf.float32)
    correlation = tf.einsum("sbi,sbj->bij", scaled, scaled) / count
    ridge = _RIDGE * tf.eye(samples.shape[-1], dtype=tf.float32)
    factor = tf.linalg.cholesky(correlation + ridge)
    return tfp.distributions.MultivariateNormalTriL(mean, stddev[..., None] * factor)
