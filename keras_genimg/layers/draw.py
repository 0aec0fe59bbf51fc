"""The layers of DRAW: one time step, and the loop over them."""

import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.extras import import_probability
from keras_genimg.latents import DiagonalNormal
from keras_genimg.layers.attention import ReadAttention, WriteAttention
from keras_genimg.layers.latent import add_divergence
from keras_genimg.ops.checks import check_image_shape, check_positive_int
from keras_genimg.ops.configurable import arguments_of, own_arguments
from keras_genimg.ops.lstm_cell import lstm_step
from keras_genimg.ops.replicas import place_in_batch
from keras_genimg.ops.uniforms import next_seed
from keras_genimg.types import Config, Distribution, Shape, TensorLike

_ATTENTION = 5  # Length of the description of an attention, see `ReadAttention`.


@keras.saving.register_keras_serializable(package="keras_genimg")
class DRAWCell(keras.layers.Layer):
    """One time step of DRAW, as a cell of `keras.layers.RNN`.

        error = image - mean of the likelihood of the canvas
        glimpse = read([image, error], decoder_hidden)
        encoder_hidden = LSTM([glimpse, decoder_hidden], encoder_hidden)
        z = mu + sigma * noise,  [mu, log sigma] = linear(encoder_hidden)
        decoder_hidden = LSTM(z, decoder_hidden)
        canvas = canvas + write(decoder_hidden)

    The noise is an input, so no random numbers are drawn inside a loop. All states are
    vectors. They are float32 even in mixed precision, because the canvas accumulates
    many small updates. The canvas holds the parameters of the likelihood.
    `keras_genimg.layers.DRAWLoop` runs the cell.

    Args:
        image_shape: `(height, width, colors)`.
        units: Units of the encoder's LSTM and of the decoder's LSTM.
        latent_dim: Size of the latent vector of a step.
        read_size: Side of the grid of filters of the read attention, or None to read
            the whole image.
        write_size: Side of the grid of filters of the write attention, or None to
            write the whole canvas.
        likelihood: `"bernoulli"` or another name or object.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: Standard normal noise, `(batch, latent_dim)`.
        states: List of image, canvas, encoder's hidden and cell state, and decoder's
            hidden and cell state, each `(batch, size)`; see `initial_states`.
        transposed: Result of `transposed_kernels`, computed outside the loop for faster
            gradients, or None.

    Returns:
        The outputs, `(batch, 2 * latent_dim + 10)`, and the next states. Outputs are
        the posterior's parameters and the five numbers of the read and of the write
        attention (see `ReadAttention`), in this order.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> cell = DRAWCell((28, 28, 1), 256, 100, read_size=2, write_size=5)
        >>> rnn = keras.layers.RNN(cell, return_sequences=True, return_state=True)
        >>> states = cell.initial_states(images)
        >>> outputs, image, canvas, *_ = rnn(noise, initial_state=states)

    References:
        Gregor, Danihelka, Graves, Rezende and Wierstra, DRAW: A Recurrent Neural
        Network for Image Generation, 2015, equations 3 to 8,
        https://arxiv.org/abs/1502.04623
    """

    def __init__(
        self,
        image_shape: Shape,
        units: int,
        latent_dim: int,
        read_size: int | None = None,
        write_size: int | None = None,
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
        **kwargs: Any,
    ):
        # States and noise stay in float32; the inner layers cast them.
        super().__init__(autocast=False, **kwargs)
        self.image_shape = check_image_shape(image_shape, "DRAWCell")
        self.units = check_positive_int("units", units, "DRAWCell")
        self.latent_dim = check_positive_int("latent_dim", latent_dim, "DRAWCell")
        self.read_size = read_size
        self.write_size = write_size
        self.likelihood = likelihoods.get(likelihood)
        self.posterior = DiagonalNormal()
        height, width, *pixel = self.likelihood.params_shape(self.image_shape)
        self.canvas_shape = (height, width, math.prod(pixel))
        policy = self.dtype_policy
        self.read = ReadAttention(read_size, name="read", dtype=policy)
        self.write = WriteAttention(
            write_size, self.canvas_shape, name="write", dtype=policy
        )
        self.encoder = LSTMStep(self.units, name="encoder", dtype=policy)
        self.decoder = LSTMStep(self.units, name="decoder", dtype=policy)
        self.posterior_params = keras.layers.Dense(
            2 * self.latent_dim, name="posterior_params", dtype="float32"
        )
        self.output_size = 2 * self.latent_dim + 2 * _ATTENTION
        image, canvas = map(math.prod, (self.image_shape, self.canvas_shape))
        self.state_size = (image, canvas, *[self.units] * 4)

    def build(self, inputs_shape=None, states_shape=None):
        height, width, colors = self.image_shape
        # The image and its error are concatenated along the channels.
        pair, state = (None, height, width, 2 * colors), (None, self.units)
        self.read.build(pair, state)
        side = (self.read_size or height), (self.read_size or width)
        glimpse = math.prod(side) * 2 * colors
        self.encoder.build((None, glimpse + self.units))
        self.posterior_params.build(state)
        self.decoder.build((None, self.latent_dim))
        self.write.build(state)
        names = ["canvas", "encoder_hidden", "encoder_cell"]
        names += ["decoder_hidden", "decoder_cell"]
        self.initial = [
            self.add_weight((size,), "zeros", name=f"initial_{name}", autocast=False)
            for name, size in zip(names, self.state_size[1:], strict=True)
        ]

    def initial_states(self, images: TensorLike) -> list[tf.Tensor]:
        """Return the states before the first step.

        Args:
            images: `(batch, height, width, colors)`, in the likelihood's own range.
        """
        if not self.built:
            self.build()
        scaled = tf.cast(images, tf.float32) / self.likelihood.max_value
        image = tf.reshape(scaled, (-1, math.prod(self.image_shape)))
        return [image, *self.started(tf.shape(image)[0])]

    def started(self, batch: int | tf.Tensor) -> list[tf.Tensor]:
        """Return the learned initial states, repeated for a batch of `batch`."""
        return [
            tf.broadcast_to(tf.cast(weight, tf.float32), (batch, weight.shape[0]))
            for weight in self.initial
        ]

    def get_initial_state(
        self, batch_size: int | tf.Tensor | None = None
    ) -> list[tf.Tensor]:
        return self.initial_states(tf.zeros((batch_size, *self.image_shape)))

    def transposed_kernels(self) -> list[tf.Tensor]:
        """Return the transposed kernels of encoder and decoder."""
        return [layer.transposed_kernel() for layer in (self.encoder, self.decoder)]

    def call(self, inputs, states, transposed=None):
        for_encoder, for_decoder = transposed or (None, None)
        image, canvas, *encoder, hidden, cell = states
        images = tf.reshape(image, (-1, *self.image_shape))
        mean = self.likelihood.mean(self.params(canvas)) / self.likelihood.max_value
        pair = tf.concat([images, images - mean], axis=-1)
        seen = tf.cast(hidden, self.compute_dtype)
        glimpse, read = self.read(tf.cast(pair, self.compute_dtype), seen)
        glimpse = tf.reshape(glimpse, (-1, math.prod(glimpse.shape[1:])))
        seen = tf.concat([glimpse, seen], axis=-1)
        encoder = self.encoder(seen, *encoder, for_encoder)
        params = self.posterior_params(encoder[0])
        latent = self.posterior.from_noise(params, tf.cast(inputs, tf.float32))
        states, write = self.decode(latent, [canvas, hidden, cell], for_decoder)
        canvas, *decoder = states
        outputs = tf.concat([params, read, write], axis=-1)
        return outputs, [image, canvas, *encoder, *decoder]

    def decode(
        self,
        latent: tf.Tensor,
        states: list[tf.Tensor],
        transposed: tf.Tensor | None = None,
    ) -> tuple[list[tf.Tensor], tf.Tensor]:
        """Update canvas and decoder with a latent vector.

        Args:
            latent: `(batch, latent_dim)`.
            states: List of canvas, and decoder's hidden and cell state.
            transposed: The decoder's transposed kernel, or None.

        Returns:
            The next states, and the five numbers of the write attention.
        """
        canvas, hidden, cell = states
        hidden, cell = self.decoder(latent, hidden, cell, transposed)
        update, write = self.write(hidden)
        update = tf.cast(update, tf.float32)
        canvas += tf.reshape(update, (-1, math.prod(self.canvas_shape)))
        return [canvas, hidden, cell], write

    def params(self, canvas: tf.Tensor) -> tf.Tensor:
        """Return canvases `(..., size)` as parameters of the likelihood."""
        shape = self.likelihood.params_shape(self.image_shape)
        return tf.reshape(canvas, (*tf.unstack(tf.shape(canvas)[:-1]), *shape))

    def split_outputs(self, outputs: tf.Tensor) -> list[tf.Tensor]:
        """Return the posterior's parameters, and the read and write attention."""
        sizes = [2 * self.latent_dim, _ATTENTION, _ATTENTION]
        return tf.split(outputs, sizes, axis=-1)

    def get_config(self) -> Config:
        return {**super().get_config(), **arguments_of(self, DRAWCell)}


class LSTMStep(keras.layers.Layer):
    """One LSTM step, with all weights in one matrix.

    Args:
        units: Length of the hidden state.
        **kwargs: Arguments of `keras.layers.Layer`.

    Call arguments:
        inputs: `(batch, inputs)`.
        hidden: `(batch, units)`.
        cell: `(batch, units)`.
        transposed: Result of `transposed_kernel`, computed outside the loop for faster
            gradients, or None.

    Returns:
        The next hidden and cell state, float32.

    References:
        Gregor et al., DRAW, 2015, section 2.
    """

    def __init__(self, units, **kwargs):
        super().__init__(**kwargs)
        self.units = units

    def build(self, inputs_shape, hidden_shape=None, cell_shape=None):
        units, num_inputs = self.units, inputs_shape[-1]
        # The kernel has rows for the input, then for the hidden state, and columns for
        # the gates o, f, i and g.
        self.kernel = self.add_weight(
            (num_inputs + units, 4 * units), "glorot_uniform", name="kernel"
        )
        # Open the forget gates at the start of training.
        opened = keras.initializers.Constant(np.repeat([0.0, 1.0, 0.0, 0.0], units))
        self.bias = self.add_weight((4 * units,), opened, name="bias")

    def transposed_kernel(self):
        """Return the transposed kernel, `(4 * units, inputs + units)`."""
        return tf.transpose(tf.cast(self.kernel, self.compute_dtype))

    def call(self, inputs, hidden, cell, transposed=None):
        weights = {
            "kernel": tf.convert_to_tensor(self.kernel),
            "bias": tf.convert_to_tensor(self.bias),
            "transposed": transposed,
        }
        states = lstm_step(weights, inputs, hidden, cell)
        return tuple(tf.cast(state, tf.float32) for state in states)


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
        likelihood: str | Config | likelihoods.Likelihood = "bernoulli",
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
