"""Base of the families of latent distributions."""

import tensorflow as tf

from keras_genimg.ops.uniforms import row_uniforms


class LatentFamily:
    """A reparameterisable family of distributions of latent vectors.

    A posterior is a member of a family, with parameters that a network computes. A
    prior is the standard member, whose parameters are all 0.

    A subclass implements `params_size` and `distribution`, with any TFP distribution
    that TFP can reparameterise, and is registered as a Keras object. If it has
    arguments, it implements `get_config`.

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

    def params_size(self, latent_dim):
        """Return how many parameters a vector of `latent_dim` numbers has."""
        raise NotImplementedError

    def distribution(self, params):
        """Return the TFP distribution of vectors.

        Args:
            params: Float32, `(..., params_size)`.

        Returns:
            A distribution of batch shape `(...)` and event shape `(latent_dim,)`.
        """
        raise NotImplementedError

    def standard(self, latent_dim):
        """Return the standard member, a distribution without a batch."""
        return self.distribution(tf.zeros((self.params_size(latent_dim),)))

    def sample_rows(self, params, seeds, latent_dim, stream):
        """Draw one vector a row, which depends on the row's parameters and seed alone.

        Args:
            params: Float32, `(batch, params_size)`.
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
            latent_dim: Length of a vector.
            stream: Which of the independent streams of a seed to draw from: one
                integer, or one for each row.

        Returns:
            Float32, `(batch, latent_dim)`.
        """
        # Two numbers of 24 bits each are the seed of TFP's own sampler.
        keys = tf.cast(row_uniforms(seeds, (2,), stream) * 2.0**24, tf.int32)
        latents = tf.map_fn(
            lambda row: self.distribution(row[0]).sample(seed=row[1]),
            (params, keys),
            fn_output_signature=tf.float32,
        )
        return tf.ensure_shape(latents, (None, latent_dim))

    def get_config(self):
        """Return the constructor's arguments."""
        return {}

    @classmethod
    def from_config(cls, config):
        """Return the family that `get_config` described."""
        return cls(**config)

    def __eq__(self, other):
        return type(self) is type(other) and self.get_config() == other.get_config()

    def __hash__(self):
        return hash((type(self), str(self.get_config())))

    def __repr__(self):
        arguments = ", ".join(f"{k}={v!r}" for k, v in self.get_config().items())
        return f"{type(self).__name__}({arguments})"
