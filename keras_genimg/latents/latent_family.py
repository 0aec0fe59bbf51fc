"""Base class for families of latent distributions."""

import tensorflow as tf

from keras_genimg.ops.configurable import Configurable
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.types import Distribution, Stream, TensorLike


class LatentFamily(Configurable):
    """Base class for reparameterizable families of distributions over latent vectors.

    A posterior is a member of a family whose parameters are computed by a network. The
    prior is the standard member, whose parameters are all 0.

    Subclasses implement `params_size` and `distribution`, and must be registered as a
    Keras serializable. The distribution can be any one that TFP can reparameterize. If
    the constructor has arguments, the subclass also implements `get_config`.

    Example:
        >>> @keras.saving.register_keras_serializable(package="my_package")
        ... class StudentT(LatentFamily):
        ...     def params_size(self, latent_dim):
        ...         return 2 * latent_dim
        ...
        ...     def distribution(self, params):
        ...         loc, log_scale = tf.split(params, 2, axis=-1)
        ...         normal = tfp.distributions.StudentT(5.0, loc, tf.exp(log_scale))
        ...         return tfp.distributions.Independent(normal, 1)
        >>> layer = Latent(20, posterior=StudentT(), estimator="monte_carlo")

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, section 2.4,
        https://arxiv.org/abs/1312.6114
    """

    def params_size(self, latent_dim: int) -> int:
        """Return the number of parameters for vectors of length `latent_dim`."""
        raise NotImplementedError

    def distribution(self, params: TensorLike) -> Distribution:
        """Return the TFP distribution with the given parameters.

        Args:
            params: Float32, `(..., params_size)`.

        Returns:
            A distribution with batch shape `(...)` and event shape `(latent_dim,)`.
        """
        raise NotImplementedError

    def standard(self, latent_dim: int) -> Distribution:
        """Return the standard member, a TFP distribution with an empty batch shape."""
        return self.distribution(tf.zeros((self.params_size(latent_dim),)))

    def seeded_sample(
        self, params: TensorLike, seeds: TensorLike, latent_dim: int, stream: Stream
    ) -> tf.Tensor:
        """Draw one vector per seed; it depends on its own parameters and seed alone.

        Args:
            params: Float32, `(batch, params_size)`.
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
            latent_dim: Length of a vector.
            stream: Independent stream of the seeds to draw from: one integer, or one
                per seed.

        Returns:
            Float32, `(batch, latent_dim)`.
        """
        # TFP's sampler is seeded with two numbers of 24 bits each.
        keys = tf.cast(seeded_uniforms(seeds, (2,), stream) * 2.0**24, tf.int32)
        latents = tf.map_fn(
            lambda inputs: self.distribution(inputs[0]).sample(seed=inputs[1]),
            (params, keys),
            fn_output_signature=tf.float32,
        )
        return tf.ensure_shape(latents, (None, latent_dim))
