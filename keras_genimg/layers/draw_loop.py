"""The loop of DRAW over its glimpses."""

from typing import Any

import keras
import tensorflow as tf

from keras_genimg.extras import import_probability
from keras_genimg.layers.draw_cell import DRAWCell
from keras_genimg.layers.latent import add_divergence
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.ops.configurable import own_arguments
from keras_genimg.ops.replicas import place_in_batch
from keras_genimg.ops.uniforms import next_seed
from keras_genimg.types import Config, Distribution, Shape, TensorLike


@keras.saving.register_keras_serializable(package="keras_genimg")
class DRAWLoop(keras.layers.Layer):
    """Layer that reads an image in glimpses and draws it on a canvas, step by step.

    New standard normal noise for all steps is drawn before the loop. The KL divergences
    of all steps' posteriors from N(0, I),

        1/2 * sum over steps and coordinates of (mu^2 + sigma^2 - log sigma^2 - 1),

    are added to the model's loss as a mean over the batch in nats, and reported as the
    metric `kl`.

    Args:
        num_glimpses: Time steps, T in the paper.
        image_shape: `(height, width, colors)`.
        units: Units of the encoder's LSTM and of the decoder's LSTM.
        latent_dim: Size of the latent vector of a step.
        read_size: Side of the grid of filters of the read attention, or None to read
            the whole image.
        write_size: Side of the grid of filters of the write attention, or None to
            write the whole canvas.
        likelihood: `"bernoulli"` or another name or object, see
            `keras_genimg.likelihoods.get`.
        seed: Integer that makes the noise reproducible.
        **kwargs: Arguments of `keras.layers.Layer`.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`.

    Output shape:
        Float32 parameters of the likelihood from the last canvas,
        `(batch, *params_shape)`.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> loop = DRAWLoop(64, (28, 28, 1), 256, 100, read_size=2, write_size=5)
        >>> logits = loop(images)

    References:
        Gregor et al., DRAW, 2015, section 2, https://arxiv.org/abs/1502.04623. The
        constant in its equation 11 is `-T / 2`; for `latent_dim` coordinates it must be
        `-T * latent_dim / 2`.
    """

    def __init__(
        self,
        num_glimpses: int,
        image_shape: Shape,
        units: int,
        latent_dim: int,
        read_size: int | None = None,
        write_size: int | None = None,
        likelihood: str | Config | Likelihood = "bernoulli",
        seed: int | None = None,
        **kwargs: Any,
    ):
        arguments = own_arguments(locals(), "num_glimpses", "seed")
        super().__init__(autocast=False, **kwargs)
        self.num_glimpses = check_positive_int("num_glimpses", num_glimpses, "DRAW")
        self.cell = DRAWCell(**arguments, name="cell", dtype=self.dtype_policy)
        self.seed = seed
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.kl = keras.metrics.Mean(name="kl")

    def build(self, input_shape):
        if tuple(input_shape[1:]) != self.cell.image_shape:
            raise ValueError(
                f"{self.name} expects images of shape {(None, *self.cell.image_shape)}."
                f" Received: shape={tuple(input_shape)}"
            )
        self.cell.build()

    def call(self, inputs):
        here = tf.shape(inputs)[0]
        first, whole = place_in_batch(here)
        noise = tf.random.stateless_normal(
            (self.num_glimpses, whole, self.cell.latent_dim),
            next_seed(self.seed_generator),
        )
        outputs, canvas = self.run(inputs, noise[:, first : first + here])
        add_divergence(self, tf.reduce_sum(self.divergences(outputs), axis=0))
        return self.cell.params(canvas)

    def run(
        self, images: TensorLike, noise: TensorLike, return_canvases: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run all steps on images.

        Args:
            images: `(batch, height, width, colors)`.
            noise: Standard normal, `(num_glimpses, batch, latent_dim)`.
            return_canvases: Whether to return the canvas after each step too.

        Returns:
            The cell's outputs, `(num_glimpses, batch, size)`, and the last canvas,
            `(batch, size)`, or all, `(num_glimpses, batch, size)`.
        """
        image, *states = self.cell.initial_states(images)
        transposed = self.cell.transposed_kernels()

        def step(noise, states):
            outputs, states = self.cell(noise, [image, *states], transposed)
            return outputs, states[1:]

        return self._loop(step, noise, states, return_canvases)

    def run_prior(
        self, latents: TensorLike, return_canvases: bool = False
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Run all steps of the decoder on latent vectors from the prior.

        Args:
            latents: `(num_glimpses, batch, latent_dim)`.
            return_canvases: Whether to return the canvas after each step too.

        Returns:
            The write attention, `(num_glimpses, batch, 5)`, and the last canvas,
            `(batch, size)`, or all, `(num_glimpses, batch, size)`.
        """
        canvas, _, _, hidden, cell = self.cell.started(tf.shape(latents)[1])

        def step(latent, states):
            states, write = self.cell.decode(latent, states)
            return write, states

        return self._loop(step, latents, [canvas, hidden, cell], return_canvases)

    def _loop(self, step, sequence, states, return_canvases):
        """Run `step` over a sequence; the first state is the canvas.

        Args:
            step: Function of an element of the sequence and the states. It returns the
                outputs and the next states.
            sequence: `(num_glimpses, batch, size)`.
            states: List of `(batch, size)`.
            return_canvases: Whether to return the canvas after each step too.
        """
        glimpses = self.num_glimpses
        given = tf.TensorArray(tf.float32, glimpses).unstack(sequence)
        num_kept = 2 if return_canvases else 1
        kept = [tf.TensorArray(tf.float32, glimpses) for _ in range(num_kept)]

        def body(t, states, kept):
            outputs, states = step(given.read(t), states)
            kept = [
                array.write(t, tensor)
                for array, tensor in zip(kept, [outputs, states[0]], strict=False)
            ]
            return t + 1, states, kept

        _, states, kept = tf.while_loop(
            lambda t, *_: t < glimpses,
            body,
            (tf.constant(0), states, kept),
            maximum_iterations=glimpses,
        )
        kept = [
            tf.ensure_shape(array.stack(), (glimpses, None, None)) for array in kept
        ]
        return kept[0], kept[1] if return_canvases else states[0]

    def posterior(self, outputs: tf.Tensor) -> Distribution:
        """Return the posteriors of all steps, a TFP distribution.

        Args:
            outputs: The outputs of `run`, `(num_glimpses, batch, size)`.
        """
        return self.cell.posterior.distribution(self.cell.split_outputs(outputs)[0])

    def prior(self) -> Distribution:
        """Return N(0, I), a TFP distribution."""
        return self.cell.posterior.standard(self.cell.latent_dim)

    def divergences(self, outputs: tf.Tensor) -> tf.Tensor:
        """Return the KL divergence of each step in nats, `(num_glimpses, batch)`."""
        tfp = import_probability()
        return tfp.distributions.kl_divergence(self.posterior(outputs), self.prior())

    def compute_output_spec(self, inputs):
        # Parameters of a likelihood are float32, also in mixed precision.
        return keras.KerasTensor(self.compute_output_shape(inputs.shape), "float32")

    def compute_output_shape(self, input_shape):
        batch, *image_shape = input_shape
        return (batch, *self.cell.likelihood.params_shape(image_shape))

    def get_config(self) -> Config:
        own = {"num_glimpses": self.num_glimpses, "seed": self.seed}
        return {**self.cell.get_config(), **super().get_config(), **own}
