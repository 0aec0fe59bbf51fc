"""DRAW, the Deep Recurrent Attentive Writer."""

import keras
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.layers import DRAWLoop
from keras_genimg.models.latent_endpoints import draw_endpoints
from keras_genimg.models.latent_model import Inference, LatentModel, repeated
from keras_genimg.models.presets import DRAW as DRAW_PRESETS
from keras_genimg.ops.checks import check_image_shape
from keras_genimg.ops.uniforms import LATENTS, POSTERIOR, row_normals


@keras.saving.register_keras_serializable(package="keras_genimg")
class DRAW(LatentModel):
    """DRAW: a recurrent variational auto-encoder that reads and writes by attention.

    Drawing uses the prior N(0, I), the decoder and the write attention alone.

    Args:
        image_shape: `(height, width, colors)`.
        num_glimpses: Time steps, T in the paper.
        units: Units of the encoder's LSTM and of the decoder's.
        latent_dim: Numbers in the latent vector of a step.
        read_size: Side of the grid of filters that reads, in filters; None reads the
            whole image without attention.
        write_size: Side of the grid of filters that writes, in filters; None writes the
            whole canvas without attention.
        likelihood: `"bernoulli"`, `"gaussian"`, `"categorical"` or an object;
            `Bernoulli(intensities=True)` for colour images, as in the paper.
        seed: Integer that makes the noise of the training reproducible.
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
        >>> drawn = model.generate(16, seed=0, return_canvases=True)
        >>> drawn["canvases"].shape
        (16, 64, 28, 28, 1)

    References:
        Gregor, Danihelka, Graves, Rezende and Wierstra, DRAW: A Recurrent Neural
        Network for Image Generation, 2015, https://arxiv.org/abs/1502.04623
    """

    presets = DRAW_PRESETS

    def __init__(
        self,
        image_shape,
        num_glimpses,
        units,
        latent_dim,
        read_size=None,
        write_size=None,
        likelihood="bernoulli",
        seed=None,
        dtype=None,
        **kwargs,
    ):
        image_shape = check_image_shape(image_shape, "DRAW")
        likelihood = likelihoods.get(likelihood)
        loop = DRAWLoop(
            num_glimpses,
            image_shape,
            units,
            latent_dim,
            read_size,
            write_size,
            likelihood,
            seed,
            name="draw_loop",
            dtype=dtype,
        )
        images = keras.Input(image_shape, name="images")
        super().__init__(images, loop(images), likelihood, dtype=dtype, **kwargs)
        self.loop = loop
        self.num_glimpses = loop.num_glimpses
        self.latent_dim = loop.cell.latent_dim

    def noise(self, seeds, stream):
        """Return each row's standard normal noise, (num_glimpses, batch, latent)."""
        noise = row_normals(seeds, (self.num_glimpses, self.latent_dim), stream)
        return tf.transpose(noise, (1, 0, 2))

    def infer(self, images, copies=None):
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
                self.log_likelihood(params, images),
                tf.reduce_sum(log_ratio, axis=0),
                tf.reduce_sum(self.loop.divergences(outputs), axis=0),
            )

        return draw

    def prior_params(self, seeds):
        _, canvas = self.loop.run_prior(self.noise(seeds, LATENTS))
        return self.loop.cell.params(canvas)

    def draw_function(
        self, sample_pixels=False, jit_compile=False, return_canvases=False
    ):
        """Return a compiled function of seeds that draws images.

        Args:
            sample_pixels: Whether to draw pixels from the likelihood, in place of its
                mean, which the paper shows.
            jit_compile: Whether to compile with XLA.
            return_canvases: Whether to return, in place of the images, a dict of
                `images`; `canvases`, the mean after each step, `(num_images,
                num_glimpses, height, width, colors)`; and `write_attention`,
                `(num_images, num_glimpses, 5)`, see `ReadAttention`.
        """
        if not return_canvases:
            return super().draw_function(sample_pixels, jit_compile)

        def draw(seeds):
            write, canvases = self.loop.run_prior(self.noise(seeds, LATENTS), True)
            return {
                **self._pictures(canvases, seeds, sample_pixels),
                "write_attention": _batch_first(write),
            }

        return self.compiled_function(
            ("canvases", sample_pixels, jit_compile),
            draw,
            [tf.TensorSpec((None,), tf.int64)],
            jit_compile,
        )

    def reconstruct_function(self, sample_pixels=False, return_canvases=False):
        """Return a compiled function of `(images, seeds)`; see `reconstruct`.

        Args:
            sample_pixels: As in `draw_function`.
            return_canvases: Whether to return, in place of the images, a dict as that
                of `draw_function`, with `read_attention` and `kl`, the divergence of
                each step in nats, `(num_images, num_glimpses)`.
        """
        if not return_canvases:
            return super().reconstruct_function(sample_pixels)

        def reconstruct(images, seeds):
            noise = self.noise(seeds, POSTERIOR)
            outputs, canvases = self.loop.run(images, noise, True)
            _, read, write = self.loop.cell.split_outputs(outputs)
            return {
                **self._pictures(canvases, seeds, sample_pixels),
                "read_attention": _batch_first(read),
                "write_attention": _batch_first(write),
                "kl": tf.transpose(self.loop.divergences(outputs)),
            }

        return self.compiled_function(
            ("reconstructed canvases", sample_pixels),
            reconstruct,
            [
                tf.TensorSpec((None, *self.image_shape)),
                tf.TensorSpec((None,), tf.int64),
            ],
        )

    def _pictures(self, canvases, seeds, sample_pixels):
        """Return images and canvases, as means, from `(num_glimpses, batch, size)`."""
        params = self.loop.cell.params(canvases)
        images = self.images_from(params[-1], seeds, sample_pixels)
        return {
            "images": images,
            "canvases": _batch_first(self.likelihood.mean(params)),
        }

    def endpoints(self, image_shape, jit_compile=False):
        return draw_endpoints(self, jit_compile)

    def get_config(self):
        return {**self.loop.get_config(), **self.base_config()}

    @classmethod
    def from_config(cls, config, custom_objects=None):
        return cls(**config)


def _batch_first(tensor):
    """Swap the first two axes."""
    return tf.transpose(tensor, (1, 0, *range(2, tensor.shape.rank)))
