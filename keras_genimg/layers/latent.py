"""Latent variables."""

from typing import Any, Literal

import keras
import tensorflow as tf

from keras_genimg import latents
from keras_genimg.extras import import_probability
from keras_genimg.latents import DiagonalNormal
from keras_genimg.ops.checks import check_choice, check_positive_int
from keras_genimg.ops.configurable import arguments_of
from keras_genimg.ops.replicas import place_in_batch
from keras_genimg.ops.uniforms import next_seed
from keras_genimg.types import Config, Distribution, Identifier


@keras.saving.register_keras_serializable(package="keras_genimg")
class Latent(keras.layers.Layer):
    """Layer that samples from a posterior and adds its KL divergence to the loss.

    A linear map of the features computes the posterior's parameters. The latent vectors
    are reparameterized samples, so gradients reach the features. The KL divergence of
    the posterior from the prior is added to the model's loss as a mean over the batch
    in nats, and reported as the metric `kl`:

        "analytic":     KL(q(z | x) || p(z)), estimator B of the paper
        "monte_carlo":  mean over the samples of log q(z | x) - log p(z), which is
                        estimator A

    Args:
        latent_dim: Size of a latent vector.
        posterior: Family of the posterior: `"diagonal_normal"`, `"full_normal"`,
            `"laplace"` or a `keras_genimg.latents.LatentFamily`. The family defines the
            meaning of the linear map's outputs; for the VAE paper's, see
            `keras_genimg.latents.DiagonalNormal`.
        prior: Family whose standard member is the prior; by default the posterior's
            family.
        estimator: `"analytic"`, if TFP has a closed form of the divergence, or
            `"monte_carlo"`, for any pair.
        num_samples: Samples per image, L in the paper.
        kernel_initializer: Initializer of the linear map's kernel.
        bias_initializer: Initializer of the linear map's bias.
        kernel_regularizer: Regularizer of the linear map's kernel.
        bias_regularizer: Regularizer of the linear map's bias.
        seed: Integer that makes the noise reproducible.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch * num_samples, latent_dim)`; the samples of an image are consecutive.

    Raises:
        ValueError: If an argument is not as described, if TFP has no closed form of the
            divergence, if a family's members are not distributions over vectors, or if
            samples of the posterior are not reparameterized.

    Example:
        >>> features = keras.layers.Dense(500, "tanh")(flat_images)
        >>> z = Latent(20, posterior="laplace", estimator="monte_carlo")(features)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, sections 2.3 and
        2.4, https://arxiv.org/abs/1312.6114
    """

    def __init__(
        self,
        latent_dim: int,
        posterior: str | Config | latents.LatentFamily = "diagonal_normal",
        prior: str | Config | latents.LatentFamily | None = None,
        estimator: Literal["analytic", "monte_carlo"] = "analytic",
        num_samples: int = 1,
        kernel_initializer: Identifier = "glorot_uniform",
        bias_initializer: Identifier = "zeros",
        kernel_regularizer: Identifier | None = None,
        bias_regularizer: Identifier | None = None,
        seed: int | None = None,
        **kwargs: Any,
    ):
        super().__init__(**kwargs)
        owner = type(self).__name__
        self.latent_dim = check_positive_int("latent_dim", latent_dim, owner)
        self.posterior = latents.get(posterior)
        self.prior = self.posterior if prior is None else latents.get(prior)
        self.estimator = check_choice(
            "estimator", estimator, ("analytic", "monte_carlo"), owner
        )
        self.num_samples = check_positive_int("num_samples", num_samples, owner)
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.bias_initializer = keras.initializers.get(bias_initializer)
        self.kernel_regularizer = keras.regularizers.get(kernel_regularizer)
        self.bias_regularizer = keras.regularizers.get(bias_regularizer)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.kl = keras.metrics.Mean(name="kl")
        self.parameters = keras.layers.Dense(
            self.posterior.params_size(self.latent_dim),
            kernel_initializer=self.kernel_initializer,
            bias_initializer=self.bias_initializer,
            kernel_regularizer=self.kernel_regularizer,
            bias_regularizer=self.bias_regularizer,
            name="parameters",
            dtype="float32",
        )

    def build(self, input_shape):
        if len(input_shape) != 2 or input_shape[-1] is None:
            raise ValueError(
                f"{type(self).__name__} expects features of shape (batch, features). "
                f"Use keras.layers.Flatten before it. Received: "
                f"shape={tuple(input_shape)}"
            )
        self.parameters.build(input_shape)
        _check_members("posterior", self.posterior, self.latent_dim, self.name)
        _check_members("prior", self.prior, self.latent_dim, self.name)
        _check_reparameterized(self.posterior, self.latent_dim, self.name)
        if self.estimator == "analytic":
            # Raise an error here rather than in the first step of training.
            self.divergence(self.posterior.standard(self.latent_dim))

    def call(self, inputs):
        params = self.parameters(inputs)
        posterior = self.posterior.distribution(params)
        samples = self._samples(params)
        if self.estimator == "analytic":
            divergence = self.divergence(posterior)
        else:
            prior = self.prior.standard(self.latent_dim)
            log_ratio = posterior.log_prob(samples) - prior.log_prob(samples)
            divergence = tf.reduce_mean(log_ratio, axis=0)
        add_divergence(self, divergence)
        # (samples, batch, latent_dim) -> (batch * samples, latent_dim)
        samples = tf.reshape(tf.transpose(samples, (1, 0, 2)), (-1, self.latent_dim))
        return tf.cast(samples, self.compute_dtype)

    def _samples(self, params):
        """Sample `(samples, batch, latent_dim)`, equal for any number of replicas."""
        here = tf.shape(params)[0]
        first, whole = place_in_batch(here)
        padded = tf.pad(params, [[first, whole - first - here], [0, 0]])
        samples = self.posterior.distribution(padded).sample(
            self.num_samples, seed=next_seed(self.seed_generator)
        )
        return samples[:, first : first + here]

    def divergence(self, posterior: Distribution) -> tf.Tensor:
        """Return the KL divergence of a posterior from the prior, in nats.

        Args:
            posterior: A TFP distribution, of batch shape `(batch,)` or without a batch.

        Raises:
            ValueError: If TFP has no closed form.
        """
        tfp = import_probability()

        prior = self.prior.standard(self.latent_dim)
        try:
            return tfp.distributions.kl_divergence(posterior, prior)
        except NotImplementedError as error:
            raise ValueError(
                f"TensorFlow Probability has no closed form of the KL divergence of "
                f'{self.posterior} from {self.prior}. Use estimator="monte_carlo" for '
                f"{self.name}. Received: estimator={self.estimator!r}"
            ) from error

    def compute_output_shape(self, input_shape):
        batch_size = input_shape[0]
        return (batch_size and batch_size * self.num_samples, self.latent_dim)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, Latent)}


def _check_members(role, family, latent_dim, owner):
    """Raise unless the members of a family are distributions over vectors.

    Otherwise the coordinates of a vector would be examples of a batch, and the mean of
    the divergence over the batch would be a mean over coordinates too.

    Args:
        role: `"posterior"` or `"prior"`, for the error text.
        family: A `LatentFamily`.
        latent_dim: Length of a vector.
        owner: Name of the layer, for the error text.

    Raises:
        ValueError: If an event shape or a batch shape differs.
    """
    params = tf.zeros((2, family.params_size(latent_dim)))
    for name, member, batch_shape in (
        ("distribution(params)", family.distribution(params), (2,)),
        ("standard(latent_dim)", family.standard(latent_dim), ()),
    ):
        shapes = member.batch_shape, member.event_shape
        expected = batch_shape, (latent_dim,)
        fits = [
            tf.TensorShape(shape).is_compatible_with(want)
            for shape, want in zip(shapes, expected, strict=True)
        ]
        if not all(fits):
            raise ValueError(
                f"`{name}` of the {role} of {owner} must be one distribution over "
                f"vectors for each example: batch shape {expected[0]} and event shape "
                f"{expected[1]} with latent_dim={latent_dim}. If coordinates are "
                f"independent, join them with `return tfp.distributions.Independent("
                f"distribution, reinterpreted_batch_ndims=1)`. Received: {family}, "
                f"batch shape {tuple(shapes[0])} and event shape {tuple(shapes[1])}"
            )


def _check_reparameterized(family, latent_dim, owner):
    """Raise unless gradients pass from samples of a family to its parameters.

    Args:
        family: A `LatentFamily`.
        latent_dim: Length of a vector.
        owner: Name of the layer, for the error text.

    Raises:
        ValueError: If TFP cannot reparameterize the family, or there is no gradient.
    """
    tfp = import_probability()

    params = tf.zeros((2, family.params_size(latent_dim)))
    with tf.GradientTape() as tape:
        tape.watch(params)
        member = family.distribution(params)
        samples = member.sample(seed=(0, 0))
    kind = member.reparameterization_type
    received = None
    if kind != tfp.distributions.FULLY_REPARAMETERIZED:
        received = str(kind)
    elif tape.gradient(samples, params) is None:
        received = "samples without a gradient for `params`"
    if received:
        raise ValueError(
            f"Samples of the posterior of {owner} must be differentiable functions of "
            f"its parameters, or the network before it would not learn. Return a "
            f"distribution with the `reparameterization_type` FULLY_REPARAMETERIZED, "
            f"such as Normal, Laplace, Logistic or StudentT, computed from `params` "
            f"with differentiable functions. Received: {family}, {received}"
        )


def add_divergence(layer, divergence):
    """Add the mean of divergences, `(batch,)`, to a layer's loss and metric `kl`."""
    layer.kl.update_state(divergence)
    # This is the mean over the batch, and 0 for the empty batch of an idle replica.
    batch_size = tf.cast(tf.size(divergence), tf.float32)
    mean = tf.math.divide_no_nan(tf.reduce_sum(divergence), batch_size)
    # Keras adds losses, so all must have one dtype.
    layer.add_loss(tf.cast(mean, keras.config.floatx()))


@keras.saving.register_keras_serializable(package="keras_genimg")
class GaussianLatent(Latent):
    """Layer that samples from N(mu, diag(sigma^2)), with the prior N(0, I).

    `mu` and `log sigma` (or `log sigma^2`, see `scale`) are linear maps of the
    features, and

        z = mu + sigma * noise
        KL = 1/2 * sum over the latent_dim coordinates of
             (mu^2 + sigma^2 - log sigma^2 - 1)

    See `Latent` for the term that is added to the loss, and for other families.

    Args:
        latent_dim: Size of a latent vector.
        estimator: `"analytic"` adds the divergence above, `"monte_carlo"` estimates it
            from the samples.
        num_samples: Samples per image.
        scale: Meaning of the second half of the linear map's outputs, `"log_stddev"` or
            `"log_variance"`, see `keras_genimg.latents.DiagonalNormal`.
        **kwargs: Other arguments of `Latent`, such as `kernel_initializer` and `seed`.

    Input shape:
        `(batch, features)`.

    Output shape:
        `(batch * num_samples, latent_dim)`; the samples of an image are consecutive.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> features = keras.layers.Dense(500, "tanh")(flat_images)
        >>> z = GaussianLatent(20)(features)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 3 and
        appendix B, https://arxiv.org/abs/1312.6114
    """

    def __init__(
        self,
        latent_dim: int,
        estimator: Literal["analytic", "monte_carlo"] = "analytic",
        num_samples: int = 1,
        scale: Literal["log_stddev", "log_variance"] = "log_stddev",
        **kwargs: Any,
    ):
        super().__init__(
            latent_dim,
            DiagonalNormal(scale),
            estimator=estimator,
            num_samples=num_samples,
            **kwargs,
        )

    def get_config(self) -> Config:
        config = super().get_config()
        del config["posterior"], config["prior"]
        return {**config, **self.posterior.get_config()}
