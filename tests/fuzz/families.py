"""Latent families as users write them: right ones, and wrong ones that are refused."""

import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

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
    return tfd.Independent(tfd.StudentT(5.0, location, tf.exp(log_scale)), 1)


def coordinates(location, log_scale):
    """Its KL divergence would be averaged over the coordinates."""
    return tfd.Normal(location, tf.exp(log_scale))


def counts(location, log_scale):
    """It has no gradient."""
    return tfd.Independent(tfd.Poisson(log_rate=location + log_scale), 1)


def one_for_all(location, log_scale):
    """One distribution of the whole batch."""
    return tfd.Independent(tfd.Normal(location, tf.exp(log_scale)), None)


def pairs(location, log_scale):
    """Vectors of twice the length."""
    both = tf.concat([location, log_scale], axis=-1)
    return tfd.Independent(tfd.Normal(both, tf.ones_like(both)), 1)


RIGHT, WRONG = (normal, logistic, student), (coordinates, counts, one_for_all, pairs)


def faults_of_family(seed):
    """Return texts of faults of a model with a random family.

    A wrong family must be refused. The KL divergence of a right one, estimated from
    samples, must be that of its density, with sums over coordinates written out.
    """
    generator = np.random.default_rng(seed)
    make = generator.choice([*RIGHT, *WRONG])
    latent_dim, name = int(generator.integers(1, 5)), make.__name__
    images = generator.integers(2, size=(64, 3, 3, 1))
    estimator = generator.choice(["analytic", "monte_carlo"])
    if make in (logistic, student):
        estimator = "monte_carlo"  # They have no closed form.
    try:
        model = VAE(
            (3, 3, 1),
            latent_dim,
            hidden_units=4,
            posterior=Family(make),
            estimator=str(estimator),
        )
        model.compile("sgd", jit_compile=False)
        kl = model.evaluate(images, verbose=0, return_dict=True)["kl"]
    except ValueError as error:
        is_named = "Family" in str(error) or "latent" in str(error).lower()
        if make in RIGHT or not is_named:
            return [f"the family `{name}` is refused without need: {error}"]
        return []
    if make in WRONG:
        return [f"the family `{name}` is not refused"]
    expected, error = _divergence(model, make, images)
    if abs(kl - expected) > 8 * error + 1e-3 * abs(expected):
        return [f"the KL divergence of `{name}` is {kl} instead of {expected}"]
    return []


def _divergence(model, make, images):
    """Return an estimate of the mean divergence, and the standard error of `kl`."""
    params = model._posterior_params(tf.constant(images, tf.float32))
    location, log_scale = tf.split(params, 2, axis=-1)
    family = {normal: tfd.Normal, logistic: tfd.Logistic}.get(make)

    def of_coordinates(location, scale):
        if make is student:
            return tfd.StudentT(5.0, location, scale)
        return family(location, scale)

    posterior = of_coordinates(location, tf.exp(log_scale))
    prior = of_coordinates(0.0, 1.0)
    samples = posterior.sample(2000, seed=1)
    ratios = posterior.log_prob(samples) - prior.log_prob(samples)
    ratios = tf.reduce_sum(ratios, axis=-1).numpy()
    # `kl` has one sample for each image.
    return ratios.mean(), ratios.std() / np.sqrt(len(images))
