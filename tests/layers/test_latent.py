import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_probability as tfp

from keras_genimg.latents import LatentFamily
from keras_genimg.layers import GaussianLatent, Latent
from keras_genimg.models import VAE
from tests.by_chance import check_means, largest_deviate

tfd = tfp.distributions
FAMILIES = pytest.mark.parametrize(
    "family", ["diagonal_normal", "full_normal", "laplace"]
)


def plain(latent_dim, family="diagonal_normal", **kwargs):
    """Return a layer whose inputs are the parameters of the posterior."""
    return Latent(latent_dim, family, kernel_initializer="identity", **kwargs)


def random_params(family, batch, latent_dim, seed=0):
    size = plain(latent_dim, family).posterior.params_size(latent_dim)
    return np.random.default_rng(seed).normal(size=(batch, size)).astype("float32")


def test_divergence_is_the_batch_mean_of_the_closed_form():
    params = random_params("diagonal_normal", 6, 3)
    mean, log_stddev = np.split(params.astype("float64"), 2, axis=1)
    terms = mean**2 + np.exp(2 * log_stddev) - 2 * log_stddev - 1
    expected = terms.sum(axis=1) / 2
    layer = plain(3)
    assert layer(params).shape == (6, 3)
    assert len(layer.losses) == 1
    np.testing.assert_allclose(layer.losses[0], expected.mean(), rtol=1e-5)
    layer(params[:2])
    mean_of_calls = (expected.sum() + expected[:2].sum()) / 8
    np.testing.assert_allclose(layer.kl.result(), mean_of_calls, rtol=1e-5)
    posterior = layer.posterior.distribution(params)
    np.testing.assert_allclose(layer.divergence(posterior), expected, rtol=1e-5)


def test_gaussian_latent_is_the_default_latent():
    layer = GaussianLatent(2, kernel_initializer="identity", seed=3)
    params = random_params("diagonal_normal", 5, 2)
    default = plain(2, seed=3)
    np.testing.assert_array_equal(layer(params), default(params))
    assert float(layer.losses[0]) == float(default.losses[0])


def gradients_of_examples(layer, params):
    """Return the gradient of `KL + sum of z` for the parameters of each example."""
    params = tf.constant(params)
    with tf.GradientTape() as tape:
        tape.watch(params)
        z = tf.reduce_sum(tf.cast(layer(params), tf.float32)) / layer.num_samples
        loss = layer.losses[0] * len(params) + z
    return np.asarray(tape.gradient(loss, params)), float(layer.losses[0])


@pytest.mark.parametrize("estimator", ["analytic", "monte_carlo"])
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16"])
@FAMILIES
def test_finite_for_extreme_parameters(family, policy, estimator):
    layer = plain(2, family, estimator=estimator, num_samples=2, dtype=policy)
    size = layer.posterior.params_size(2)
    corners = np.array(list(itertools.product((-20, 0, 20), repeat=size)))
    inside = np.random.default_rng(0).uniform(-20, 20, size=(200, size))
    params = np.concatenate([corners, inside]).astype("float32")
    gradients, loss = gradients_of_examples(layer, params)
    assert layer.losses[0].dtype == "float32"
    samples = layer(params)
    assert samples.dtype == keras.dtype_policies.get(policy).compute_dtype
    for values in (samples, gradients, loss):
        assert np.isfinite(np.asarray(values, "float32")).all()


@FAMILIES
def test_estimators_agree_and_the_analytic_one_is_steadier(family):
    """The sampled one needs densities alone, which tests of the families show."""
    count = 80000
    params = random_params(family, 1, 2, seed=4) * 0.7
    params[0, :2] = [0.8, -0.6]
    batch = np.tile(params, (count, 1))
    a, loss = gradients_of_examples(plain(2, family, estimator="monte_carlo"), batch)
    b, exact = gradients_of_examples(plain(2, family), batch)
    # The deviation of a loss is at most 0.026: a level of 2e-8 for all.
    assert abs(loss - exact) < 0.15
    check_means(a - b, 0, (a - b).std(axis=0))
    assert (b.var(axis=0) < a.var(axis=0)).all()
    # The same number of samples of one example estimates the same gradient.
    many = plain(2, family, estimator="monte_carlo", num_samples=count)
    gradient, loss = gradients_of_examples(many, params)
    assert abs(loss - exact) < 0.15
    deviation = np.sqrt((a.var(axis=0) + b.var(axis=0)) / count)
    errors = (gradient[0] - b.mean(axis=0)) / deviation
    assert np.abs(errors).max() < largest_deviate(errors.size)


def test_samples_of_an_example_are_neighbors():
    means = np.arange(4, dtype="float32") * 10
    params = np.stack([means, means + 5, *np.full((2, 4), -3)], axis=1)
    layer = plain(2, num_samples=3)
    samples = np.asarray(layer(params.astype("float32")))
    np.testing.assert_allclose(samples, np.repeat(params[:, :2], 3, axis=0), atol=0.5)
    assert len(np.unique(samples[:, 0])) == 12
    assert layer.compute_output_shape((4, 4)) == (12, 2)
    assert layer.compute_output_shape((None, 4)) == (None, 2)
    assert layer(keras.Input((4,))).shape == (None, 2)


def test_an_empty_batch_adds_nothing():
    layer = plain(2)
    assert layer(np.zeros((0, 4), "float32")).shape == (0, 2)
    assert float(layer.losses[0]) == 0


def test_noise():
    params = np.zeros((50, 4), "float32")
    layer, same = plain(2, seed=5), plain(2, seed=5)
    first, second = np.asarray(layer(params)), np.asarray(layer(params))
    # Three pairs of 200 numbers out of 2**24 coincide with a probability of 3e-10.
    assert len(np.unique([first, second])) > 197
    np.testing.assert_array_equal(same(params), first)
    np.testing.assert_array_equal(same(params), second)
    assert (np.asarray(plain(2, seed=6)(params)) != first).all()
    assert (np.asarray(plain(2)(params)) != np.asarray(plain(2)(params))).all()


@keras.saving.register_keras_serializable(package="latent_test")
class StudentT(LatentFamily):
    def __init__(self, df=5.0):
        self.df = df

    def params_size(self, latent_dim):
        return 2 * latent_dim

    def distribution(self, params):
        location, log_scale = tf.split(params, 2, axis=-1)
        numbers = tfd.StudentT(self.df, location, tf.exp(log_scale))
        return tfd.Independent(numbers, 1)

    def get_config(self):
        return {"df": self.df}


def test_own_families_train_report_and_round_trip(tmp_path):
    inputs = keras.Input((3,))
    layer = Latent(2, StudentT(7.0), StudentT(3.0), estimator="monte_carlo", seed=1)
    model = keras.Model(inputs, keras.layers.Dense(1)(layer(inputs)))
    model.compile(keras.optimizers.Adam(0.02), "mse", run_eagerly=True)
    x = np.random.default_rng(0).normal(size=(60, 3)).astype("float32")
    before = model.weights[0].numpy()
    history = model.fit(x, x[:, :1], verbose=0).history
    assert {"loss", "kl"} == set(history)
    assert (model.weights[0].numpy() != before).all()
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras").get_layer(layer.name)
    assert again.get_config() == layer.get_config()
    assert (again.posterior, again.prior) == (layer.posterior, layer.prior)
    np.testing.assert_array_equal(again.parameters(x), layer.parameters(x))


@pytest.mark.parametrize("families", [("laplace", "diagonal_normal"), (StudentT(),)])
def test_divergence_without_a_closed_form(families):
    with pytest.raises(ValueError, match='(?s)estimator="monte_carlo" for z. Received'):
        Latent(2, *families, name="z")(keras.Input((4,)))


def test_own_families_are_estimated_from_samples():
    layer = plain(1, StudentT(9.0), prior=StudentT(4.0), estimator="monte_carlo")
    layer(np.tile(np.array([[1.0, 0.5]], "float32"), (20000, 1)))
    # By quadrature.
    z = np.linspace(-300, 300, 60001)
    log_q = np.asarray(tfd.StudentT(9.0, 1.0, np.exp(0.5)).log_prob(z))
    log_p = np.asarray(tfd.StudentT(4.0, 0.0, 1.0).log_prob(z))
    exact = (np.exp(log_q) * (log_q - log_p)).sum() * (z[1] - z[0])
    np.testing.assert_allclose(layer.losses[0], exact, atol=0.05)


class Scalars(LatentFamily):
    """A family that forgets to join the coordinates of a vector."""

    def params_size(self, latent_dim):
        return 2 * latent_dim

    def distribution(self, params):
        location, log_scale = tf.split(params, 2, axis=-1)
        return tfd.Normal(location, tf.exp(log_scale))


class OneForAll(Scalars):
    """A family that joins the examples of a batch too."""

    def distribution(self, params):
        numbers = super().distribution(params)
        return tfd.Independent(numbers, len(numbers.batch_shape))


class ScalarStandard(StudentT):
    def standard(self, latent_dim):
        return tfd.StudentT(5.0, tf.zeros(latent_dim), 1.0)


class Counts(Scalars):
    def distribution(self, params):
        rates = tf.exp(tf.split(params, 2, axis=-1)[0])
        return tfd.Independent(tfd.Poisson(rates), 1)


class Stopped(StudentT):
    def distribution(self, params):
        return super().distribution(tf.stop_gradient(params))


class Mixture(Scalars):
    """Two normal distributions, whose samples TFP does not reparameterize."""

    def distribution(self, params):
        numbers = super().distribution(params[..., None, :])
        halves = tfd.Categorical(tf.zeros((*params.shape[:-1], 1)))
        return tfd.MixtureSameFamily(halves, tfd.Independent(numbers, 1))


JOIN = r"return tfp.distributions.Independent\(.*, reinterpreted_batch_ndims=1\)"


@pytest.mark.parametrize("latent_dim", [1, 2, 3])
@pytest.mark.parametrize("family", [Scalars(), OneForAll(), ScalarStandard()], ids=str)
def test_members_that_are_no_distributions_of_vectors_are_refused(family, latent_dim):
    """The loss had the mean over coordinates of the divergence, not the sum."""
    inputs = keras.Input((4,))
    with pytest.raises(ValueError, match=f"posterior of z must be .*{JOIN}.*Received"):
        Latent(latent_dim, family, name="z")(inputs)
    with pytest.raises(ValueError, match="prior of z must be one distribution"):
        Latent(latent_dim, prior=family, name="z")(inputs)
    with pytest.raises(ValueError, match="posterior of latent must be"):
        VAE((3, 4, 1), latent_dim, 4, posterior=family)


@pytest.mark.parametrize(
    "family, received",
    [(Counts(), "NOT_REPARAMETERIZED"), (Stopped(), "without a gradient")],
    ids=str,
)
def test_posteriors_without_gradients_are_refused(family, received):
    with pytest.raises(ValueError, match=f"of z must be differentiable.*{received}"):
        Latent(2, family, estimator="monte_carlo", name="z")(keras.Input((4,)))


def test_a_prior_needs_no_gradients():
    layer = Latent(2, prior=Mixture(), estimator="monte_carlo")
    assert layer(keras.Input((4,))).shape == (None, 2)
    with pytest.raises(ValueError, match="NOT_REPARAMETERIZED"):
        Latent(2, Mixture(), estimator="monte_carlo")(keras.Input((4,)))
