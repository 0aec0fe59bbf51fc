"""Latent families as users write them: right ones, and wrong ones that are refused."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp
from scipy import special, stats

from keras_genimg.causality.random_weights import randomize
from keras_genimg.latents import LatentFamily
from keras_genimg.models import VAE

tfd = tfp.distributions


class Family(LatentFamily):
    """A family of two parameters for each coordinate.

    Args:
        make: Function of locations and logarithms of scales that returns a
            distribution.
    """

    def __init__(self, make):
        self.make = make

    def params_size(self, latent_dim):
        return 2 * latent_dim

    def distribution(self, params):
        return self.make(*tf.split(params, 2, axis=-1))


def normal(location, log_scale):
    return tfd.Independent(tfd.Normal(location, tf.exp(log_scale)), 1)


def logistic(location, log_scale):
    return tfd.Independent(tfd.Logistic(location, tf.exp(log_scale)), 1)


def student(location, log_scale):
    return tfd.Independent(tfd.StudentT(15.0, location, tf.exp(log_scale)), 1)


def coordinates(location, log_scale):
    """Its KL divergence would be averaged over the coordinates."""
    return tfd.Normal(location, tf.exp(log_scale))


def counts(location, log_scale):
    """It has no gradient."""
    return tfd.Independent(tfd.Poisson(log_rate=location + log_scale), 1)


def mixture(location, log_scale):
    """A choice between two components has no gradient."""
    both = tf.stack([location, location + 2], axis=-1)
    scales = tf.stack([tf.exp(log_scale)] * 2, axis=-1)
    return tfd.Independent(
        tfd.MixtureSameFamily(
            tfd.Categorical(logits=tf.zeros_like(both)), tfd.Normal(both, scales)
        ),
        1,
    )


def detached(location, log_scale):
    """No gradient reaches its parameters."""
    return normal(tf.stop_gradient(location), tf.stop_gradient(log_scale))


def one_for_all(location, log_scale):
    """One distribution of the whole batch."""
    return tfd.Independent(tfd.Normal(location, tf.exp(log_scale)), None)


def pairs(location, log_scale):
    """Vectors of twice the length."""
    both = tf.concat([location, log_scale], axis=-1)
    return tfd.Independent(tfd.Normal(both, tf.ones_like(both)), 1)


# Right ones, with the standard member of a coordinate in SciPy.
RIGHT = {normal: stats.norm(), logistic: stats.logistic(), student: stats.t(15)}
WRONG = [coordinates, counts, mixture, detached, one_for_all, pairs]
WRONG_PRIORS = [coordinates, one_for_all, pairs]


def faults_of_family(seed):
    """Return texts of faults of a model with a random family.

    A wrong family must be refused. For a right one, the KL divergence in training and
    the log-probabilities must be those of its density, with sums over coordinates
    written out in NumPy. They may differ by eight standard errors, means of 64 samples
    with light tails, which happens by chance once in 10**5 trials or less.
    """
    generator = np.random.default_rng(seed)
    right, wrong = [*RIGHT], [*WRONG]
    posterior = prior = right[generator.integers(len(right))]
    fault = generator.random()
    if fault < 0.35:
        posterior = prior = wrong[generator.integers(len(wrong))]
    elif fault < 0.45:
        prior = WRONG_PRIORS[generator.integers(len(WRONG_PRIORS))]
    elif fault < 0.7:
        prior = right[generator.integers(len(right))]
    is_wrong = fault < 0.45
    latent_dim = int(generator.integers(1, 4))
    estimator = generator.choice(["analytic", "monte_carlo"])
    if posterior is not normal or prior is not normal:
        # Only normal distributions have a closed form here.
        estimator = "monte_carlo"
    name = f"the posterior `{posterior.__name__}` with the prior `{prior.__name__}`"
    images = generator.integers(2, size=(64, 3, 3, 1))
    try:
        model = VAE(
            (3, 3, 1),
            latent_dim,
            hidden_units=4,
            posterior=Family(posterior),
            prior=Family(prior),
            estimator=str(estimator),
        )
        randomize(model)
        model.compile("sgd", jit_compile=False)
        kl = model.evaluate(images, verbose=0, return_dict=True)["kl"]
    except ValueError as error:
        is_named = "Family" in str(error) or "latent" in str(error).lower()
        if not is_wrong or not is_named:
            return [f"{name} is refused without need: {error}"]
        return []
    if is_wrong:
        return [f"{name} is not refused"]
    faults = []
    expected, error = _divergence(model, posterior, prior, images)
    if abs(kl - expected) > 8 * error + 1e-3 * abs(expected):
        faults.append(f"the KL divergence of {name} is {kl} instead of {expected}")
    if generator.random() < 0.3:
        num_samples = int(generator.choice([1, 3, 10]))
        options = {"num_samples": num_samples, "seed": 0, "verbose": 0}
        nats = model.log_prob(images, **options).mean()
        expected, error = _bound(model, posterior, prior, images, num_samples)
        if abs(nats - expected) > 8 * error + 1e-3 * abs(expected):
            faults.append(f"log_prob of {name} is {nats} instead of {expected}")
    return faults


def _divergence(model, posterior, prior, images):
    """Return an estimate of the mean divergence, and the standard error of `kl`."""
    _, ratios = _samples(model, posterior, prior, images)
    return -ratios.mean(), ratios.std() / np.sqrt(len(images))


def _samples(model, posterior, prior, images):
    """Return latents of images, and `log p(z) - log q(z | x)`, `(samples, images)`."""
    params = model._posterior_params(tf.constant(images, tf.float32)).numpy()
    location, log_scale = np.split(params.astype("float64"), 2, axis=-1)
    noise = RIGHT[posterior].rvs((1200, *location.shape), random_state=1)
    latents = location + np.exp(log_scale) * noise
    ratios = RIGHT[prior].logpdf(latents) - RIGHT[posterior].logpdf(noise) + log_scale
    return latents, ratios.sum(axis=-1)


def _bound(model, posterior, prior, images, num_samples):
    """Return the mean importance-weighted bound, and the standard error of one try."""
    latents, ratios = _samples(model, posterior, prior, images)
    flat = latents.reshape(-1, model.latent_dim).astype("float32")
    logits = model.decoder(flat, training=False).numpy().astype("float64")
    logits = logits.reshape(*ratios.shape, -1)
    signs = 2.0 * images.reshape(len(images), -1) - 1
    weights = special.log_expit(signs * logits).sum(axis=-1) + ratios
    weights = weights.reshape(-1, num_samples, len(images))
    bounds = special.logsumexp(weights, axis=1) - np.log(num_samples)
    return bounds.mean(), bounds.std() / np.sqrt(len(images))
