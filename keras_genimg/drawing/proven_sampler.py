"""Compiled samplers of autoregressive models."""

import warnings

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality import is_causal
from keras_genimg.causality.image_pairs import random_conditions
from keras_genimg.causality.probing import announce_proof
from keras_genimg.causality.proof import check_difference
from keras_genimg.causality.random_weights import jittered_values, random_values
from keras_genimg.inputs.calls import cost_of_image
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.sampling.program import Refusal

# Makes every value of a pixel about equally likely.
_FLAT = 1e6
# The proof draws all rows of an image up to so many operations of a forward pass, a few
# seconds of two CPU cores, and fewer of larger models.
_AFFORDABLE = 5e9
_FEWEST_ROWS = 8


class TracedSampler:
    """Compiled function that draws or completes images.

    Before the first image, the incremental sampler is proven: the parameters that it
    draws an image from must be those of a forward pass. The graph that is proven is the
    graph that draws, which takes the weights as inputs.

    Args:
        model: An `AutoregressiveModel`.
        method: A key of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        jit_compile: Whether to compile with XLA.
        is_small: See `incremental_sampler`.
        num_candidates: Number of candidates, for completions; None to draw new images.

    Call arguments:
        weights: Result of `prepare`.
        seeds: Integers, `(batch,)`.
        temperature: A scalar.
        *others: `images` and `known`, for completions; then the conditions.

    Returns:
        Images; for completions, also effective sample sizes.

    Raises:
        ValueError: If the model is not causal, the sampler and the model disagree, or a
            layer draws random numbers of its own.

    Attributes:
        kind: Method, image shape, and whether it is compiled with XLA and for small
            batches. Samplers of one kind need one proof.
    """

    def __init__(
        self, model, method, image_shape, jit_compile, is_small, num_candidates=None
    ):
        self._model = model
        self.kind = (method, tuple(image_shape), jit_compile, is_small)
        self._num_candidates = num_candidates
        self._traced = None
        self._has_passed = False
        self._networks = []
        given = []
        if num_candidates is not None:
            given = [tf.TensorSpec((None, *image_shape))] * 2
        variables = list(model.weights)
        # One call to read them all takes a third of the time of one for each.
        read = tf.function(
            lambda: [tf.convert_to_tensor(weight) for weight in variables],
            autograph=False,
        )
        with tf.init_scope():
            self._read = read.get_concrete_function()

        def run(weights, num_rows, num_guesses, *inputs):
            records, options = [], {}
            if method == "incremental":
                options = {"num_rows": num_rows, "num_guesses": num_guesses}
                options["is_small"] = is_small
                options["record"] = lambda *recorded: records.append(recorded)
            kind = method, image_shape, jit_compile, num_candidates
            draw = model._drawer.from_seeds(*kind, **options)
            state = list(zip(variables, weights, strict=True))
            scope = keras.StatelessScope(state_mapping=state)
            try:
                with scope:
                    images, *sizes = tf.nest.flatten(draw(*inputs))
            finally:  # TensorFlow fails on some of what is refused.
                self._refuse_noise(scope)
            self._networks = [network for network, *_ in records]
            recorded = [tuple(tensors) for _, *tensors in records]
            return [tf.cast(images, model.likelihood.dtype), *sizes], recorded

        signature = [
            [tf.TensorSpec(weight.shape, weight.dtype) for weight in variables],
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.float32),
            *given,
            *(tf.TensorSpec(t.shape, t.dtype) for t in model.inputs[1:]),
        ]
        # XLA would compile the proof's batch of two images too, for minutes.
        self._proven = tf.function(run, input_signature=signature, autograph=False)
        self._function = self._proven
        if jit_compile:
            self._function = tf.function(
                run, input_signature=signature, autograph=False, jit_compile=True
            )

    def _refuse_noise(self, scope):
        """Raise an error if drawing changed the state of a random generator."""
        model = self._model
        changed = scope.state_mapping.keys() - set(map(id, model.weights))
        if changed:
            owners = [
                f"{type(layer).__name__} '{layer.name}'"
                for layer in model._flatten_layers(include_self=False)
                if any(id(variable) in changed for variable in layer.variables)
            ]
            error = Refusal(
                f"No image of {model.name} can be reproduced from its seed, since "
                f"layers draw random numbers of their own. Let them do so only in "
                f"training. Received: {', '.join(owners) or 'a graph with noise'}"
            )
            error.depends_on_batch = True
            raise error

    def prepare(self):
        """Trace and prove the sampler, if that was not done; return the weights."""
        self._trace()
        if self._model.check_causality and not self._has_passed:
            self._model._drawer.prove_sampler(self)
            self._has_passed = True
        values = [weight.value for weight in self._model.weights]
        if all(isinstance(value, tf.Variable) for value in values):
            return self._read()
        # Some are of a `keras.StatelessScope`.
        return [tf.convert_to_tensor(value) for value in values]

    def __call__(self, weights, seeds, temperature, *others):
        function = self._trace()
        every_row, by_default = tf.constant(self.kind[1][0]), tf.constant(-1)
        (images, *sizes), _ = function(
            weights, every_row, by_default, seeds, temperature, *others
        )
        return (images, *sizes) if sizes else images

    def _trace(self):
        """Return the function that draws, after its first trace.

        Raises:
            ValueError: If the incremental sampler does not support the model. If the
                model is causal, the error recommends the fixed-point sampler.
        """
        if self._traced is None:
            try:
                with tf.init_scope():
                    # There is only one graph; a look-up by TensorFlow costs 0.3 ms.
                    self._traced = self._function.get_concrete_function()
            except Refusal as error:
                if error.depends_on_batch or not is_causal(self._model, self.kind[1]):
                    raise
                raise Refusal(
                    f"{error}. The model is causal, so it can be sampled without "
                    f"changes by method='fixed_point'."
                ) from error
        return self._traced

    def prove(self):
        """Raise an error unless the sampler and the model agree.

        Two images are drawn, with pixels of any value, under random weights and under
        the model's own with some noise; of large models their first rows, at least
        eight. The parameters of each are compared with those of a forward pass of it
        alone. Where rows may be guessed, every second one is. A model in half precision
        is proven in float32, and then compared as closely as its rounding allows. Where
        that is not close, and for the other methods, the model is proven to be causal.

        Returns:
            True.

        Raises:
            ValueError: If they disagree, the sampler fails, or the model is not causal.
                The error names the layer, if it is found.
        """
        model, (method, image_shape, *_) = self._model, self.kind
        self._trace()
        if method != "incremental":
            model._drawer.check_causal(image_shape)
            return True
        with tf.init_scope():
            is_half = has_half_precision(model)
            twin = in_float32(model) if is_half else None
            if twin is not None:
                TracedSampler(twin, *self.kind).prove()
            elif is_half or is_quantized(model) or is_on_gpu():
                model._drawer.check_causal(image_shape)
            else:
                announce_proof(model, image_shape)
            both = random_values(model), jittered_values(model)
            try:
                drawn = [(weights, self._drawn_under(weights)) for weights in both]
            except tf.errors.InvalidArgumentError as error:
                if len(model.inputs) == 1:
                    raise ValueError(
                        f"The incremental sampler of {model.name} cannot be proven, "
                        f"since it fails under random weights: {error.message}"
                    ) from error
                warnings.warn(
                    f"Could not prove the sampler of {model.name}: its graph fails on "
                    f"random conditions, whose unknown sizes are guessed "
                    f"({type(error).__name__}). Compare some images with those of "
                    f"method='ancestral'.",
                    stacklevel=2,
                )
                return True
            finite = [
                (weights, records)
                for weights, records in drawn
                if all(np.isfinite(params).all() for _, _, params, _ in records)
            ]
            for weights, records in finite or drawn[-1:]:
                for network, images, params, conditions in records:
                    check_difference(network, weights, params, images, conditions)
        return True

    def _drawn_under(self, weights):
        """Return networks with two images, their parameters and conditions."""
        model, shape = self._model, self.kind[1]
        generator = np.random.default_rng(0)
        inputs = random_conditions(model, (2, *shape), generator)
        if self._num_candidates is not None:
            inputs = [tf.zeros((2, *shape))] * 2 + inputs
        values = [tf.cast(value, weight.dtype) for weight, value in weights]
        affordable = int(shape[0] * _AFFORDABLE / max(cost_of_image(model, shape), 1))
        num_rows = min(max(affordable, _FEWEST_ROWS), shape[0])
        # Every second row is guessed; one guess more than its pixels always suffices.
        sizes = tf.constant(num_rows), tf.constant(-shape[1] - 1)
        others = tf.constant([0, 1], tf.int64), tf.constant(_FLAT), *inputs
        _, recorded = self._proven(values, *sizes, *others)
        return [
            (network, images, params[:, :num_rows], given)
            for network, (images, params, given) in zip(
                self._networks, recorded, strict=True
            )
        ]
