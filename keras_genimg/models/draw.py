"""DRAW, the Deep Recurrent Attentive Writer."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.latents.inference import Inference, repeated
from keras_genimg.layers import DRAWLoop
from keras_genimg.models.latent_model import LatentModel
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.ops.uniforms import LATENTS, POSTERIOR, seeded_normals
from keras_genimg.presets.settings import DRAW as DRAW_PRESETS
from keras_genimg.serving.endpoint import Endpoint
from keras_genimg.serving.model_endpoints import draw_endpoints
from keras_genimg.types import (
    Config,
    Images,
    Policy,
    Seeds,
    Shape,
    Stream,
    TensorLike,
    Verbose,
)


@keras.saving.register_keras_serializable(package="keras_genimg")
class DRAW(LatentModel):
    """DRAW: a recurrent variational auto-encoder with read and write attention.

    Generation uses only the prior N(0, I), the decoder and the write attention.

    Args:
        image_shape: `(height, width, colors)`.
        num_glimpses: Time steps, T in the paper.
        units: Units of the encoder's LSTM and of the decoder's LSTM.
        latent_dim: Size of the latent vector of a step.
        read_size: Side of the grid of read filters; None reads the whole image without
            attention.
        write_size: Side of the grid of write filters; None writes the whole canvas
            without attention.
        likelihood: `"bernoulli"`, `"gaussian"`, `"categorical"`, `"logistic_mixture"`
            or an object; `Bernoulli(intensities=True)` for color images, as in the
            paper.
        seed: Integer that makes the training noise reproducible.
        dtype: Dtype policy of the layers; canvas and latents are float32.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`.

    Output shape:
        Parameters of the likelihood, `(batch, height, width, colors)`, with one more
        axis for `Categorical` and `Gaussian`.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> model = DRAW((28, 28, 1), 64, 256, 100, read_size=2, write_size=5)
        >>> model.compile(keras.optimizers.Adam(3e-4, clipnorm=10))
        >>> history = model.fit(images, batch_size=100, epochs=100)
        >>> drawn = model.generate_canvases(16, seed=0)
        >>> drawn["canvases"].shape
        (16, 64, 28, 28, 1)

    References:
        Gregor, Danihelka, Graves, Rezende and Wierstra, DRAW: A Recurrent Neural
        Network for Image Generation, 2015, https://arxiv.org/abs/1502.04623
    """

    presets = DRAW_PRESETS

    def __init__(
        self,
        image_shape: Shape,
        num_glimpses: int,
        units: int,
        latent_dim: int,
        read_size: int | None = None,
        write_size: int | None = None,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        seed: int | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals())
        loop = DRAWLoop(**arguments, name="draw_loop")
        images = keras.Input(loop.cell.image_shape, name="images")
        super().__init__(images, loop(images), likelihood, dtype=dtype, **kwargs)
        self.loop = loop
        self.num_glimpses = loop.num_glimpses
        self.latent_dim = loop.cell.latent_dim

    def noise(self, seeds: TensorLike, stream: Stream) -> tf.Tensor:
        """Return each seed's standard normal noise, (num_glimpses, batch, latent)."""
        noise = seeded_normals(seeds, (self.num_glimpses, self.latent_dim), stream)
        return tf.transpose(noise, (1, 0, 2))

    def infer(
        self, images: TensorLike, copies: int | tf.Tensor | None = None
    ) -> Callable[[TensorLike, Stream], Inference]:
        images = repeated(images, copies)

        def draw(seeds, stream):
            noise = self.noise(seeds, stream)
            outputs, canvas = self.loop.run(images, noise)
            posterior, prior = self.loop.posterior(outputs), self.loop.prior()
            z = self.loop.cell.posterior.from_noise(
                self.loop.cell.split_outputs(outputs)[0], noise
            )
            log_ratio = prior.log_prob(z) - posterior.log_prob(z)
            params = self.loop.cell.params(canvas)
            return Inference(
                params,
                self.likelihood.log_prob_of_images(params, images),
                tf.reduce_sum(log_ratio, axis=0),
                tf.reduce_sum(self.loop.divergences(outputs), axis=0),
            )

        return draw

    def prior_params(self, seeds: TensorLike) -> tf.Tensor:
        _, canvas = self.loop.run_prior(self.noise(seeds, LATENTS))
        return self.loop.cell.params(canvas)

    def generate_canvases(
        self,
        num_images: int = 1,
        *,
        seed: Seeds | None = None,
        sample_pixels: bool = False,
        jit_compile: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> dict[str, np.ndarray]:
        """Generate images, and also return the canvas after each step.

        The images are those that `generate` returns for the same arguments.

        Args:
            num_images: Number of images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random, which
                `keras.utils.set_random_seed` makes reproducible. An image depends only
                on its own seed, up to rounding.
            sample_pixels: Whether to sample pixels from the likelihood, instead of its
                mean.
            jit_compile: Whether to compile with XLA.
            batch_size: Number of images to generate at once.
            verbose: See `generate`.

        Returns:
            Dict of NumPy arrays: `images`, `(num_images, height, width, colors)`;
            `canvases`, the mean after each step, `(num_images, num_glimpses, height,
            width, colors)`; and `write_attention`, `(num_images, num_glimpses, 5)`, see
            `keras_genimg.layers.ReadAttention`.

        Raises:
            ValueError: If an argument is not as described.
            RuntimeError: If it is called in a `tf.function`.
        """

        def draw(seeds):
            write, canvases = self.loop.run_prior(self.noise(seeds, LATENTS), True)
            return {
                **self._pictures(canvases, seeds, sample_pixels),
                "write_attention": keras.ops.swapaxes(write, 0, 1),
            }

        key = "generate_canvases", sample_pixels
        return self._generate(
            key, draw, num_images, seed, batch_size, verbose, jit_compile
        )

    def reconstruct_canvases(
        self,
        images: Images,
        *,
        seed: int | None = None,
        sample_pixels: bool = False,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> dict[str, np.ndarray]:
        """Reconstruct images, and also return the canvas after each step.

        The images are those that `reconstruct` returns for the same arguments.

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
            Dict of NumPy arrays: `images`, `canvases` and `write_attention`, see
            `generate_canvases`; `read_attention`, `(num_images, num_glimpses, 5)`; and
            `kl`, the divergence of each step in nats, `(num_images, num_glimpses)`.

        Raises:
            ValueError: If there are no images, or their shape or pixels do not fit.
            RuntimeError: If it is called in a `tf.function`.
        """

        def reconstruct(images, seeds):
            noise = self.noise(seeds, POSTERIOR)
            outputs, canvases = self.loop.run(images, noise, True)
            _, read, write = self.loop.cell.split_outputs(outputs)
            return {
                **self._pictures(canvases, seeds, sample_pixels),
                "read_attention": keras.ops.swapaxes(read, 0, 1),
                "write_attention": keras.ops.swapaxes(write, 0, 1),
                "kl": tf.transpose(self.loop.divergences(outputs)),
            }

        key = "reconstruct_canvases", sample_pixels
        return self._map(key, reconstruct, images, seed, batch_size, verbose)

    def _pictures(self, canvases, seeds, sample_pixels):
        """Return images and canvases, as means, from `(num_glimpses, batch, size)`."""
        params = self.loop.cell.params(canvases)
        images = self._images_from(params[-1], seeds, sample_pixels)
        return {
            "images": images,
            "canvases": keras.ops.swapaxes(self.likelihood.mean(params), 0, 1),
        }

    def endpoints(
        self, image_shape: Shape, jit_compile: bool = False
    ) -> dict[str, Endpoint]:
        return draw_endpoints(self, jit_compile)

    def get_config(self) -> Config:
        return {**self.loop.get_config(), **self.base_config()}
