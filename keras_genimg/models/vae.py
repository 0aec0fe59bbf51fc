"""Variational auto-encoder."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg import likelihoods
from keras_genimg.inputs.calls import call_in_batches
from keras_genimg.latents import LatentFamily
from keras_genimg.latents.inference import Inference, repeated
from keras_genimg.layers import Latent
from keras_genimg.models.latent_model import LatentModel
from keras_genimg.networks import normal_weights, vae_decoder, vae_encoder
from keras_genimg.ops.checks import check_image_shape, check_int, check_positive_int
from keras_genimg.ops.configurable import arguments_of
from keras_genimg.ops.uniforms import LATENTS
from keras_genimg.presets.settings import VAE as VAE_PRESETS
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.model_endpoints import vae_endpoints
from keras_genimg.types import (
    Config,
    Distribution,
    Images,
    Policy,
    Shape,
    Stream,
    TensorLike,
    Verbose,
)


@keras.saving.register_keras_serializable(package="keras_genimg")
class VAE(LatentModel):
    """Auto-encoding variational Bayes: an encoder, latent vectors, and a decoder.

    As in the paper, encoder and decoder have one hidden layer of tanh units each by
    default, and all initial weights are normal. The paper trains with Adagrad on
    batches of 100 images. `conv_filters` adds convolutions, which are not in the paper.

    Args:
        image_shape: `(height, width, colors)`.
        latent_dim: Size of a latent vector.
        hidden_units: Units of the hidden layer of encoder and decoder, or of each of
            several, from the images to the latents.
        likelihood: `"bernoulli"`, `"gaussian"`, `"categorical"`, `"logistic_mixture"`
            or an object.
        encoder: Functional model from images in the likelihood's own range to features
            `(batch, features)`. Replaces the default layers.
        decoder: Functional model from latent vectors `(batch, latent_dim)` to float32
            parameters of the likelihood, of the shape of the images, with one more axis
            if a sub-pixel has several parameters.
        posterior: Family of the posterior, see `keras_genimg.layers.Latent`. By
            default, the encoder computes log sigma. The paper's encoder computes log
            sigma^2; use `DiagonalNormal("log_variance")` with the paper's learning
            rates.
        prior: Family of the prior, see `keras_genimg.layers.Latent`.
        estimator: `"analytic"`, the paper's estimator B, or `"monte_carlo"`, its
            estimator A.
        num_samples: Samples of the latent vector per image in training, L in the paper.
        weight_stddev: Standard deviation of the initial weights and biases. None for
            Keras' own initial weights, with which deeper networks train better.
        weight_prior: Number of training images, for the prior N(0, I) on all weights
            and biases, which adds `|weights|^2 / (2 * weight_prior)` to the loss of an
            image. None for no prior.
        conv_filters: Channels of each stage of convolutions between the images and the
            hidden layers, from the images to the latents. A stage halves height and
            width in the encoder, with a 5×5 and a 3×3 convolution, and doubles them in
            the decoder, so both must be multiples of 2 to the number of stages. Empty
            for none, as in the paper.
        activation: Name of the activation of all hidden units, such as `"elu"`.
        dtype: Dtype policy of the layers. Parameters of latents and likelihood are
            float32.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`.

    Output shape:
        Parameters of the likelihood for sampled latent vectors, `(batch * num_samples,
        height, width, colors)`, with one more axis for `Categorical` and `Gaussian`.

    Raises:
        ValueError: If an argument is not as described, or encoder and decoder do not
            fit it.

    Example:
        >>> model = VAE((28, 28, 1), latent_dim=20)
        >>> model.compile(keras.optimizers.Adagrad(0.02))
        >>> history = model.fit(images, batch_size=100, epochs=10)
        >>> bound = model.log_prob(test_images, num_samples=100)
        >>> drawn = model.generate(16, seed=0)

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, sections 3 and 5 and
        appendix C, https://arxiv.org/abs/1312.6114
    """

    presets = VAE_PRESETS

    def __init__(
        self,
        image_shape: Shape,
        latent_dim: int,
        hidden_units: int | Sequence[int] = 500,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        encoder: keras.Model | None = None,
        decoder: keras.Model | None = None,
        posterior: str | Config | LatentFamily = "diagonal_normal",
        prior: str | Config | LatentFamily | None = None,
        estimator: Literal["analytic", "monte_carlo"] = "analytic",
        num_samples: int = 1,
        weight_stddev: float | None = 0.01,
        weight_prior: int | None = None,
        conv_filters: Sequence[int] = (),
        activation: str = "tanh",
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        image_shape = check_image_shape(image_shape, "VAE")
        latent_dim = check_positive_int("latent_dim", latent_dim, "VAE")
        hidden_units = _checked_units(hidden_units)
        conv_filters = _checked_stages(conv_filters, image_shape)
        activation = keras.activations.serialize(keras.activations.get(activation))
        _check_used(conv_filters, activation, encoder, decoder)
        likelihood = likelihoods.get(likelihood)
        weight_prior = _checked_weights(weight_stddev, weight_prior, encoder, decoder)

        def weights():
            return normal_weights(weight_stddev, weight_prior)

        # Layers.
        parts = {"encoder": encoder, "decoder": decoder}
        options = hidden_units, conv_filters, activation, likelihood, weights, dtype
        if encoder is None:
            encoder = vae_encoder(image_shape, *options)
        latent = Latent(
            latent_dim,
            posterior,
            prior,
            estimator,
            num_samples,
            name="latent",
            dtype=dtype,
            **weights(),
        )
        if decoder is None:
            decoder = vae_decoder(latent_dim, image_shape, *options)

        _check_part("encoder", encoder)
        _check_part("decoder", decoder)

        # Functional graph.
        images = keras.Input(image_shape, name="images")
        outputs = decoder(latent(encoder(images)))
        super().__init__(images, outputs, likelihood, dtype=dtype, **kwargs)

        # Configuration.
        self.latent_dim = latent_dim
        self.hidden_units = hidden_units
        self.encoder: keras.Model = encoder
        self.latent = latent
        self.decoder: keras.Model = decoder
        self.posterior = latent.posterior
        self.prior = latent.prior
        self.estimator = latent.estimator
        self.num_samples = latent.num_samples
        self.weight_stddev = weight_stddev
        self.weight_prior = weight_prior
        self.conv_filters = conv_filters
        self.activation = activation
        self._default_parts = [name for name, part in parts.items() if part is None]

    def _posterior_params(self, images):
        """Return the posterior's parameters, float32, for a graph."""
        return self.latent.parameters(self.encoder(images, training=False))

    def posterior_distribution(self, images: TensorLike) -> Distribution:
        """Return the posterior of the latent vectors of images, for a graph.

        Args:
            images: Images in the likelihood's own range, `(batch, height, width,
                colors)`.

        Returns:
            TFP distribution with batch shape `(batch,)` and event shape
            `(latent_dim,)`.
        """
        return self.latent.posterior.distribution(self._posterior_params(images))

    def infer(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        latent = self.latent
        posterior_params = repeated(self._posterior_params(images), copies)
        images = repeated(images, copies)
        posterior = latent.posterior.distribution(posterior_params)
        prior = latent.prior.standard(self.latent_dim)
        analytic = latent.estimator == "analytic"
        divergence = latent.divergence(posterior) if analytic else None

        def draw(seeds, stream):
            z = latent.posterior.seeded_sample(
                posterior_params, seeds, self.latent_dim, stream
            )
            params = self.decoder(z, training=False)
            log_ratio = prior.log_prob(z) - posterior.log_prob(z)
            kl = divergence if analytic else -log_ratio
            nats = self.likelihood.log_prob_of_images(params, images)
            return Inference(params, nats, log_ratio, kl)

        return draw

    def prior_params(self, seeds: TensorLike) -> tf.Tensor:
        prior = self.latent.prior
        size = prior.params_size(self.latent_dim)
        standard = tf.zeros((tf.shape(seeds)[0], size))
        z = prior.seeded_sample(standard, seeds, self.latent_dim, LATENTS)
        return self.decoder(z, training=False)

    def encode(
        self, images: Images, *, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return mean and standard deviation of the posterior of each image.

        Args:
            images: See `log_prob`.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: See `generate`.

        Returns:
            Two NumPy float32 arrays of shape `(num_images, latent_dim)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """

        def encode(images, seeds):
            posterior = self.posterior_distribution(images)
            return posterior.mean(), posterior.stddev()

        return self._map(("encode",), encode, images, 0, batch_size, verbose)

    def decode(
        self, latents: ArrayLike, *, batch_size: int = 64, verbose: Verbose = "auto"
    ) -> np.ndarray:
        """Decode latent vectors to images.

        Args:
            latents: `(num_images, latent_dim)`.
            batch_size: Vectors per batch.
            verbose: See `generate`.

        Returns:
            NumPy float32 array of shape `(num_images, height, width, colors)`, the
            likelihood's mean.

        Raises:
            ValueError: If the shape does not fit or a number is not finite.
            RuntimeError: If it is called in a `tf.function`.
        """
        latents = np.asarray(latents, "float32")
        fits = latents.ndim == 2 and latents.shape[1] == self.latent_dim
        if not fits or len(latents) == 0:
            raise ValueError(
                f"decode expects latents of shape (num_images, {self.latent_dim}). "
                f"Received: shape={latents.shape}"
            )
        if not np.isfinite(latents).all():
            raise ValueError("decode expects finite latents. Received: NaN or infinity")
        decode = self._function_cache.compiled(
            "decode",
            lambda z: self.likelihood.mean(self.decoder(z, training=False)),
            input_signature=[tf.TensorSpec((None, self.latent_dim))],
        )
        return call_in_batches(self, decode, [latents], batch_size, verbose, "decode")

    def marginal_log_likelihood(
        self,
        images: Images,
        *,
        num_samples: int = 50,
        num_leapfrog_steps: int = 4,
        num_burnin: int = 200,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Estimate the log-probability of each image, with fewer than 5 latents.

        Hamiltonian Monte Carlo samples latent vectors from the true posterior, see
        `keras_genimg.latents.marginal_likelihood`. The estimate is not a bound: it can
        be too low or too high, and improves with more samples.

        Each image has one chain. If its posterior has several modes that are far apart,
        the chain stays in one of them and the estimate is too low, by log K nats for K
        modes of equal weight. More samples do not help.

        For a model of three latents whose exact value is known, estimates by 50 samples
        were off by 0.14 nats, the root of the mean square, and one of 576 by 1.4 nats;
        those by 400 samples by 0.02, and at most by 0.12.

        Args:
            images: See `log_prob`.
            num_samples: Samples per image in each of the two sets, L in the paper; at
                least 20, to fit a covariance.
            num_leapfrog_steps: Steps of the integrator before each sample.
            num_burnin: Samples dropped before the first set, while the chains adapt.
            seed: Integer seed; by default random. The same seed gives the same result
                only for the same `batch_size`, since noise is sampled per batch.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: See `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If the model has 5 latents or more, there are no images, their
                shape or pixels do not fit, or an argument is not as described.
            RuntimeError: If it is called in a `tf.function`.

        References:
            Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 5 and
            appendix D, https://arxiv.org/abs/1312.6114
        """
        from keras_genimg.latents.marginal_likelihood import log_likelihood_near

        method = "marginal_log_likelihood"
        if self.latent_dim >= 5:
            raise ValueError(
                f"{method} is accurate only for fewer than 5 latents. Use log_prob, a "
                f"bound, instead. Received: latent_dim={self.latent_dim}"
            )
        counts = [
            check_int("num_samples", num_samples, method, smallest=20),
            check_positive_int("num_leapfrog_steps", num_leapfrog_steps, method),
            check_positive_int("num_burnin", num_burnin, method),
        ]

        def estimate(images, seeds, *counts):
            posterior = self.posterior_distribution(images)
            prior = self.latent.prior.standard(self.latent_dim)

            def log_joint(z):
                params = self.decoder(z, training=False)
                log_likelihood = self.likelihood.log_prob_of_images(params, images)
                return prior.log_prob(z) + log_likelihood

            return log_likelihood_near(posterior, log_joint, seeds, *counts)

        steps = (num_burnin + 2 * num_samples) * num_leapfrog_steps
        note = f"{steps} leapfrog steps for each batch of {batch_size}"
        return self._map(
            (method,), estimate, images, seed, batch_size, verbose, counts, note=note
        )

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False
    ) -> dict[str, Endpoint]:
        return vae_endpoints(self, jit_compile)

    def get_config(self) -> Config:
        config = {**arguments_of(self, VAE), **self.base_config()}
        # The default parts are made from the other arguments.
        return {**config, **dict.fromkeys(self._default_parts)}

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: dict[str, Any] | None = None
    ) -> "VAE":
        config = dict(config)
        for part in ("encoder", "decoder"):
            if config[part] is not None:
                config[part] = keras.saving.deserialize_keras_object(
                    config[part], custom_objects=custom_objects
                )
        return cls(**config)


def _checked_units(hidden_units):
    """Return units of one hidden layer, or of several as a tuple."""
    if isinstance(hidden_units, (list, tuple)) and hidden_units:
        return _checked_counts("hidden_units", hidden_units)
    return check_positive_int("hidden_units", hidden_units, "VAE")


def _checked_stages(conv_filters, image_shape):
    """Return the filters of all stages as a tuple, if the image can be halved so."""
    if not isinstance(conv_filters, (list, tuple)):
        raise ValueError(
            "`conv_filters` of VAE must be a list with the channels of each stage, "
            f"such as (16, 32). Received: conv_filters={conv_filters!r}"
        )
    conv_filters = _checked_counts("conv_filters", conv_filters)
    multiple = 2 ** len(conv_filters)
    if any(side % multiple for side in image_shape[:2]):
        raise ValueError(
            "Each stage of `conv_filters` of VAE halves height and width, so both must "
            f"be multiples of {multiple}. Use fewer stages, or images of another size. "
            f"Received: conv_filters={conv_filters}, image_shape={image_shape}"
        )
    return conv_filters


def _check_used(conv_filters, activation, encoder, decoder):
    """Raise an error if custom parts leave no layer for these arguments."""
    are_custom = encoder is not None and decoder is not None
    if are_custom and (conv_filters or activation != "tanh"):
        raise ValueError(
            "`conv_filters` and `activation` of VAE apply to the default encoder and "
            "decoder, and both are custom. Build the layers into them. Received: "
            f"conv_filters={conv_filters}, activation={activation!r}"
        )


def _check_part(name, part):
    """Raise an error unless a part is a graph; Keras checks the shape of its input."""
    ends = getattr(part, "inputs", None), getattr(part, "outputs", None)
    if [len(tensors or ()) for tensors in ends] != [1, 1]:
        raise ValueError(
            f"`{name}` of VAE must be a functional model with one input and one "
            f"output. Received: {part!r}"
        )


def _checked_weights(weight_stddev, weight_prior, encoder, decoder):
    """Return `weight_prior` as an integer, if there is one."""
    if weight_stddev is not None and not weight_stddev >= 0:
        raise ValueError(
            f"`weight_stddev` of VAE must be at least 0. Received: "
            f"weight_stddev={weight_stddev!r}"
        )
    if weight_prior is not None:
        weight_prior = check_positive_int("weight_prior", weight_prior, "VAE")
        if encoder is not None or decoder is not None:
            raise ValueError(
                "`weight_prior` of VAE applies only to the default encoder and "
                "decoder. In custom ones, use the regularizer "
                "keras.regularizers.L2(0.5 / num_images) in all layers. Received: "
                f"weight_prior={weight_prior}"
            )
    return weight_prior


def _checked_counts(name, counts):
    """Return a sequence of positive integers as a tuple."""
    return tuple(check_positive_int(name, count, "VAE") for count in counts)
