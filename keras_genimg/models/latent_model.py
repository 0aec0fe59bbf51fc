"""Base class of models with latent variables."""

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.inputs.calls import (
    call_in_batches,
    image_seeds,
    map_images,
    seeded_batches,
)
from keras_genimg.inputs.images import images_of
from keras_genimg.keras_private import set_direction
from keras_genimg.latents.inference import (
    Inference,
    importance_weighted_bound,
    mean_elbo,
    repeated,
)
from keras_genimg.losses import NegativeLogLikelihood
from keras_genimg.metrics.reported_value import ReportedValue
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.uniforms import POSTERIOR, seeded_uniforms
from keras_genimg.types import Images, Seeds, Stream, TensorLike, Verbose


class LatentModel(GenerativeModel):
    """Base class of models trained on a lower bound of the log-probability.

        log p(x) >= E[log p(x | z)] - KL(q(z | x) || p(z))

    Training reports the two terms in nats as `reconstruction` (with the sign of a loss)
    and `kl`, and the bound as `elbo`. A layer of the model must add the KL divergence
    to the loss and have the metric `kl`.

    A subclass implements `infer`, `prior_params` and `endpoints`.
    """

    def own_metrics(self) -> list[keras.metrics.Metric]:
        nats = NegativeLogLikelihood(self.likelihood, None, dtype="float32")
        reconstruction = keras.metrics.MeanMetricWrapper(nats, "reconstruction")
        set_direction(reconstruction, "down")

        def elbo():
            return -(reconstruction.result() + self._kl.result())

        return [
            reconstruction,
            ReportedValue("kl", "down", lambda: self._kl.result()),
            ReportedValue("elbo", "up", elbo),
        ]

    @property
    def _kl(self):
        """The metric of the layer that adds the KL divergence to the loss."""
        return next(metric for metric in super().metrics if metric.name == "kl")

    @property
    def metrics(self) -> list[keras.metrics.Metric]:
        """The metrics of `compile`, which report the divergence too."""
        return [metric for metric in super().metrics if metric.name != "kl"]

    def epoch_variables(self) -> list[keras.Variable]:
        return [*super().epoch_variables(), *self._kl.variables]

    def reset_metrics(self) -> None:
        super().reset_metrics()
        self._kl.reset_state()

    # Samples per image in training.
    num_samples = 1
    # The divergence is a mean over the batch.
    weighs_images: bool = False

    def targets_of(self, x: Any) -> TensorLike:
        images = images_of(x, self)
        return images if self.num_samples == 1 else repeated(images, self.num_samples)

    def infer(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        """Return a function that samples latent variables of images, for a graph.

        Args:
            images: `(batch, height, width, colors)`.
            copies: Number of samples per image and call of the function, a scalar; None
                for one. The samples of an image are consecutive.

        Returns:
            A function of `(seeds, stream)` that returns an `Inference` of
            `batch * copies` samples. `seeds` are integers of shape `(batch * copies,)`;
            `stream` is the stream of their noise, one for all seeds or one per seed.
        """
        raise NotImplementedError

    def prior_params(self, seeds: TensorLike) -> tf.Tensor:
        """Return likelihood parameters for latents from the prior, for a graph.

        Args:
            seeds: Integers from 0 to `MAX_SEED`, `(batch,)`.
        """
        raise NotImplementedError

    def _images_from(self, params, seeds, sample_pixels=False):
        """Return the likelihood's mean, or pixels sampled from it, for a graph."""
        if not sample_pixels:
            return self.likelihood.mean(params)
        uniforms = seeded_uniforms(seeds, self.image_shape)
        return tf.cast(self.likelihood.sample(params, uniforms), self.likelihood.dtype)

    def _generate(
        self, key, function, num_images, seed, batch_size, verbose, jit_compile
    ):
        """Call `function(seeds)`, compiled, for batches of new images.

        Args:
            key: Name of the public method, then its arguments that `function` depends
                on.
            function: Function for a graph.
            num_images: See `generate`.
            seed: See `generate`.
            batch_size: See `generate`.
            verbose: See `generate`.
            jit_compile: See `generate`.
        """
        method, *_ = key
        num_images = check_positive_int("num_images", num_images, method)
        self.check_graph(self.image_shape)
        generate = self._function_cache.compiled(
            (*key, jit_compile),
            function,
            input_signature=[tf.TensorSpec((None,), tf.int64)],
            jit_compile=jit_compile,
        )
        seeds = image_seeds(num_images, seed)
        return call_in_batches(self, generate, [seeds], batch_size, verbose, method)

    def _map(
        self, key, function, images, seed, batch_size, verbose, counts=(), **options
    ):
        """Call `function(images, seeds, *counts)`, compiled, on batches of images.

        Args:
            key: Name of the public method, then its arguments that `function` depends
                on.
            function: Function for a graph.
            images: See `log_prob`.
            seed: See `log_prob`.
            batch_size: See `log_prob`.
            verbose: See `log_prob`.
            counts: Further arguments, integers.
            **options: Options of `map_images`.
        """
        method, *_ = key
        self.check_graph(self.image_shape)
        run = self._function_cache.compiled(
            key,
            function,
            input_signature=[
                tf.TensorSpec((None, *self.image_shape)),
                tf.TensorSpec((None,), tf.int64),
                *[tf.TensorSpec((), tf.int32)] * len(counts),
            ],
        )
        call = seeded_batches(
            lambda images, seeds: run(images, seeds, *map(tf.constant, counts)), seed
        )
        return map_images(self, call, images, method, batch_size, verbose, **options)

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
        """Generate images from latent variables of the prior.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random, which
                `keras.utils.set_random_seed` makes reproducible. An image depends only
                on its own seed, up to rounding.
            sample_pixels: Whether to sample pixels from the likelihood. Otherwise, the
                images are its means, as in the papers: real numbers in the range of
                pixels.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images to generate at once.
            verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
                "auto" for silence in the first two seconds, then a bar.

        Returns:
            NumPy array of shape `(num_images, height, width, colors)`: float32 means,
            or pixels in the likelihood's own range and dtype.

        Raises:
            ValueError: If an argument is not as described.
            RuntimeError: If it is called in a `tf.function`.
        """

        def generate(seeds):
            return self._images_from(self.prior_params(seeds), seeds, sample_pixels)

        key = "generate", sample_pixels
        return self._generate(
            key, generate, num_images, seed, batch_size, verbose, jit_compile
        )

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
            images: See `log_prob`.
            num_samples: Samples of the latent variables per image. More samples reduce
                the variance of the estimate; its mean stays the same.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones. By default random.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: See `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """
        bound = functools.partial(mean_elbo, self.infer)
        counts = [check_positive_int("num_samples", num_samples, "elbo")]
        return self._map(("elbo",), bound, images, seed, batch_size, verbose, counts)

    def log_prob(
        self,
        images: Images,
        *,
        num_samples: int = 100,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the importance-weighted bound of each image's log-probability.

            log mean over k of p(x, z_k) / q(z_k | x),  z_k from q(z | x)

        Its mean is never below the ELBO, and approaches the log-probability as the
        number of samples grows.

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches.
            num_samples: Samples of the latent variables per image. Fewer than 50 save
                little time, since images are evaluated one by one.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones. By default random, which `keras.utils.set_random_seed` makes
                reproducible. The result for a seed does not depend on the batch size,
                to the last bit.
            batch_size: Images per batch at most, for arrays.
            verbose: See `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.

        References:
            Burda, Grosse and Salakhutdinov, Importance Weighted Autoencoders, 2015,
            equation 8, https://arxiv.org/abs/1509.00519
        """
        bound = functools.partial(importance_weighted_bound, self.infer)
        key = ("log_prob",)
        counts = [check_positive_int("num_samples", num_samples, "log_prob")]
        return self._map(
            key, bound, images, seed, batch_size, verbose, counts, splits=True
        )

    def bits_per_dim(
        self,
        images: Images,
        *,
        num_samples: int = 100,
        seed: int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the negative bound of `log_prob` in bits per sub-pixel.

        Args:
            images: See `log_prob`.
            num_samples: Samples of the latent variables per image, see `log_prob`.
            seed: Integer seed of the first image's samples; the next images have the
                seeds that follow. By default a random one.
            batch_size: Images per batch, for arrays.
            verbose: See `generate`.

        Returns:
            NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """
        nats = self.log_prob(
            images,
            num_samples=num_samples,
            seed=seed,
            batch_size=batch_size,
            verbose=verbose,
        )
        return -nats / np.float32(np.log(2) * np.prod(self.image_shape))

    def reconstruct(
        self,
        images: Images,
        *,
        seed: int | None = None,
        sample_pixels: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Sample latent variables of images, and return images decoded from them.

        Args:
            images: See `log_prob`.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones. By default random.
            sample_pixels: Whether to sample pixels from the likelihood, instead of its
                mean.
            batch_size: Images per batch, for arrays. The last bits of the result may
                depend on it.
            verbose: See `generate`.

        Returns:
            NumPy array of the shape of `images`: float32 means of the likelihood, or
            pixels.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """

        def reconstruct(images, seeds):
            params = self.infer(images)(seeds, POSTERIOR).params
            return self._images_from(params, seeds, sample_pixels)

        key = "reconstruct", sample_pixels
        return self._map(key, reconstruct, images, seed, batch_size, verbose)
