"""Models that draw an image from latent variables."""

import typing
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.likelihoods import Likelihood
from keras_genimg.models.batched_calls import draw_images, map_images
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.image_inputs import images_of
from keras_genimg.models.image_seeds import image_seeds
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.uniforms import MAX_SEED, POSTERIOR, seeded_uniforms
from keras_genimg.training.reported_value import ReportedValue
from keras_genimg.types import (
    Config,
    Images,
    Seeds,
    Stream,
    SymbolicTensor,
    TensorLike,
    Verbose,
)

# Largest number of an image's samples that `log_prob` evaluates as one batch.
_MOST_SAMPLES = 100


class Inference(typing.NamedTuple):
    """Terms of the bound, for one sample of each image's latent variables.

    Attributes:
        params: Parameters of the likelihood.
        log_likelihood: `log p(x | z)` in nats, `(batch,)`.
        log_ratio: `log p(z) - log q(z | x)` in nats, `(batch,)`.
        kl: The divergence of the posterior to the prior as the model's estimator gives
            it, in nats, `(batch,)`.
    """

    params: tf.Tensor
    log_likelihood: tf.Tensor
    log_ratio: tf.Tensor
    kl: tf.Tensor


def repeated(batch, copies):
    """Return each example `copies` times, one after the other, or once for None."""
    return batch if copies is None else tf.repeat(batch, copies, axis=0)


class LatentModel(GenerativeModel):
    """Base class of models trained on a lower bound of the log-probability.

        log p(x) >= E[log p(x | z)] - KL(q(z | x) || p(z))

    Training reports the two terms in nats as `reconstruction` (with the sign of a
    loss) and `kl`, and the bound as `elbo`. A layer of the model adds the divergence
    to the loss and has the metric `kl`.

    A subclass implements `infer`, `prior_params` and `endpoints`.
    """

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | Likelihood,
        **kwargs: Any,
    ):
        super().__init__(inputs, outputs, likelihood, **kwargs)
        self.reconstruction = keras.metrics.Mean(name="reconstruction")

    def _own_metrics(self):
        def elbo():
            return -sum(term.result() for term in self._terms.values())

        return [
            ReportedValue("reconstruction", "down", self.reconstruction.result),
            ReportedValue("kl", "down", lambda: self._terms["kl"].result()),
            ReportedValue("elbo", "up", elbo),
        ]

    @property
    def _terms(self):
        """The metrics that collect the two terms of the bound, by name."""
        metrics = {metric.name: metric for metric in super().metrics}
        return {name: metrics[name] for name in ("reconstruction", "kl")}

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics of `compile`, which report those that collect the terms."""
        return [m for m in super().metrics if m.name not in ("reconstruction", "kl")]

    def _epoch_variables(self):
        terms = self._terms.values()
        return [*super()._epoch_variables(), *(v for t in terms for v in t.variables)]

    def reset_metrics(self) -> None:
        super().reset_metrics()
        for term in self._terms.values():
            term.reset_state()

    # How many samples the model draws for an image in training.
    num_samples = 1
    # The divergence is a mean over the batch.
    _weighs_images = False

    def _targets_of(self, x, y_pred):
        return self._repeated(images_of(x, self))

    def _repeated(self, batch):
        """Return each example `num_samples` times."""
        if batch is None or self.num_samples == 1:
            return batch
        return repeated(batch, self.num_samples)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        sample_weight = self._repeated(sample_weight)
        return super().compute_loss(x, y, y_pred, sample_weight, training)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        sample_weight = self._repeated(sample_weight)
        nats = -self._log_likelihood(y_pred, self._targets_of(x, y_pred))
        self.reconstruction.update_state(nats, sample_weight)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def _log_likelihood(self, params, images):
        """Return `log p(x | z)` of each image in nats, `(batch,)`."""
        return self.likelihood.log_prob_of_images(params, images)

    def infer(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        """Return a function that draws latent variables of images, for a graph.

        Args:
            images: `(batch, height, width, colors)`.
            copies: Number of samples of each image that one call of the function draws,
                a scalar; None for one. The samples of an image are consecutive.

        Returns:
            A function of `(seeds, stream)` that returns an `Inference` of
            `batch * copies` samples. `seeds` are integers of shape `(batch * copies,)`;
            `stream` is the stream of their noise, one for all or one for each seed.
        """
        raise NotImplementedError

    def prior_params(self, seeds: TensorLike) -> tf.Tensor:
        """Return parameters of images whose latents come from the prior, for a graph.

        Args:
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
        """
        raise NotImplementedError

    def _images_from(self, params, seeds, sample_pixels=False):
        """Return the likelihood's mean, or pixels drawn from it, for a graph."""
        if not sample_pixels:
            return self.likelihood.mean(params)
        uniforms = seeded_uniforms(seeds, self.image_shape)
        return tf.cast(self.likelihood.sample(params, uniforms), self.likelihood.dtype)

    def _compiled(self, key, function, signature, jit_compile=False):
        """Return `function` as a `tf.function`, always the same one for a key."""
        return self._function_cache.get(
            self,
            key,
            lambda: tf.function(
                function,
                input_signature=signature,
                jit_compile=jit_compile,
                autograph=False,
            ),
        )

    def generate(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        sample_pixels: bool = False,
        jit_compile: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw images from latent variables of the prior.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. Or one integer for each image. By default a random one, which
                `keras.utils.set_random_seed` makes reproducible. An image depends on
                its own seed alone, never on the others drawn with it.
            sample_pixels: Whether to draw pixels from the likelihood, in place of its
                mean, which the papers show. A mean is a real number in the range of
                pixels.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images to draw at a time.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`: means, float32,
            or pixels in the likelihood's own range and dtype.

        Raises:
            ValueError: If an argument is not as described.
        """
        num_images = check_positive_int("num_images", num_images, "generate")

        def draw(seeds):
            return self._images_from(self.prior_params(seeds), seeds, sample_pixels)

        draw = self._compiled(
            ("generate", sample_pixels, jit_compile),
            draw,
            [tf.TensorSpec((None,), tf.int64)],
            jit_compile,
        )
        return draw_images(
            self, draw, [image_seeds(num_images, seed)], batch_size, verbose
        )

    def _elbo_graph(self, images, seeds, num_samples):
        """Return the mean of the ELBOs of samples in nats, for a graph; see `elbo`."""
        infer = self.infer(images)

        def step(k, elbo):
            sample = infer(seeds, POSTERIOR + k)
            return k + 1, elbo + sample.log_likelihood - sample.kl

        _, elbo = tf.while_loop(
            lambda k, _: k < num_samples, step, (0, tf.zeros(tf.shape(seeds)))
        )
        return elbo / tf.cast(num_samples, tf.float32)

    def _log_prob_graph(self, images, seeds, num_samples):
        """Return the bound of `log_prob` in nats, for a graph.

        Images are evaluated one by one, and the samples of an image as one batch: the
        last bits of a matrix product depend on how many rows the matrix has. So the
        result for an image does not depend on the images that share its batch.

        Args:
            images: `(batch, height, width, colors)`.
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
            num_samples: Scalar, samples of the latent variables per image.
        """
        loops = -(-num_samples // _MOST_SAMPLES)
        copies = -(-num_samples // loops)

        def bound(inputs):
            image, seed = inputs
            infer = self.infer(image[None], copies=copies)
            same_seed = tf.fill([copies], seed)

            def step(start, log_sum):
                k = start + tf.range(copies)
                sample = infer(same_seed, POSTERIOR + k)
                log_weights = sample.log_likelihood + sample.log_ratio
                log_weights = tf.where(k < num_samples, log_weights, -np.inf)
                log_sum = tf.concat([log_sum[None], log_weights], axis=0)
                return start + copies, tf.reduce_logsumexp(log_sum)

            _, log_sum = tf.while_loop(
                lambda start, _: start < num_samples, step, (0, -np.inf)
            )
            return log_sum - tf.math.log(tf.cast(num_samples, tf.float32))

        return tf.map_fn(bound, (images, seeds), fn_output_signature=tf.float32)

    def elbo(
        self,
        images: Images,
        *,
        num_samples: int = 1,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the evidence lower bound of each image's log-probability.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches.
            num_samples: Samples of the latent variables per image; more of them make
                the estimate steadier, not higher.
            seed: Integer of the first image; the next ones have the seeds that follow.
                By default a random one, which `keras.utils.set_random_seed` makes
                reproducible.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
        """
        function = self._sampling("elbo", self._elbo_graph, num_samples, seed)
        return map_images(self, function, images, "elbo", batch_size, verbose)

    def log_prob(
        self,
        images: Images,
        *,
        num_samples: int | None = None,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the importance-weighted bound of each image's log-probability.

            log mean over k of p(x, z_k) / q(z_k | x),  z_k from q(z | x)

        Its mean is never below the ELBO, and rises to the log-probability with the
        number of samples.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches.
            num_samples: Samples of the latent variables per image; None for 100.
                Images are evaluated one by one, so a few samples take hardly less
                time than 50.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. By default a random one, which `keras.utils.set_random_seed`
                makes reproducible. The same seed gives the same bits whatever the batch
                size.
            batch_size: Images per batch at most, for arrays.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.

        References:
            Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2015,
            equation 8, https://arxiv.org/abs/1509.00519
        """
        num_samples = 100 if num_samples is None else num_samples
        function = self._sampling("log_prob", self._log_prob_graph, num_samples, seed)
        return map_images(
            self, function, images, "log_prob", batch_size, verbose, splits=True
        )

    def _sampling(self, method, graph, num_samples, seed):
        """Return a function of batches of images that runs `graph` on samples."""
        num_samples = check_positive_int("num_samples", num_samples, method)
        run = self._compiled(
            method,
            graph,
            [
                tf.TensorSpec((None, *self.image_shape)),
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((), tf.int32),
            ],
        )
        return self._seeded(
            lambda images, seeds: run(images, seeds, tf.constant(num_samples)), seed
        )

    def _seeded(self, function, seed):
        """Return a function of batches of images that gives each image its own seed.

        Args:
            function: Function of float32 images and seeds.
            seed: Integer seed of the first image, or None for a random one.
        """
        if seed is not None and np.ndim(seed) != 0:
            raise ValueError(
                f"`seed` must be one integer here, that of the first image. Received: "
                f"seed={seed!r}"
            )
        next_seed = int(image_seeds(1, seed)[0])

        def call(images):
            nonlocal next_seed
            images = tf.cast(images, tf.float32)
            seeds = next_seed + np.arange(len(images))
            if seeds[-1] > MAX_SEED:
                raise ValueError(
                    f"`seed` is too large for the number of images: their seeds exceed "
                    f"2**62 - 1. Received: seed={seed!r}"
                )
            next_seed += len(images)
            return function(images, tf.constant(seeds, tf.int64))

        return call

    def reconstruct(
        self,
        images: Images,
        *,
        seed: int | None = None,
        sample_pixels: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Draw latent variables of images, and images from these.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches.
            seed: Integer seed of the first image; the next images have the seeds that
                follow. By default a random one, which `keras.utils.set_random_seed`
                makes reproducible.
            sample_pixels: Whether to draw pixels from the likelihood, in place of its
                mean, which the papers show.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of the shape of `images`: the likelihood's mean, float32, or
            pixels.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
        """

        def reconstruct(images, seeds):
            params = self.infer(images)(seeds, POSTERIOR).params
            return self._images_from(params, seeds, sample_pixels)

        function = self._of_images_and_seeds(
            ("reconstruct", sample_pixels), reconstruct
        )
        function = self._seeded(function, seed)
        return map_images(self, function, images, "reconstruct", batch_size, verbose)

    def _of_images_and_seeds(self, key, function):
        """Return a function of images and their seeds, compiled."""
        return self._compiled(
            key,
            function,
            [
                tf.TensorSpec((None, *self.image_shape)),
                tf.TensorSpec((None,), tf.int64),
            ],
        )
