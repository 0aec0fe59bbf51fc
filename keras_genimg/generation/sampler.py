"""A compiled function that generates images, and its check."""

import warnings
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality import is_causal
from keras_genimg.causality.image_pairs import random_conditions
from keras_genimg.causality.likelihood_check import check_likelihood
from keras_genimg.causality.probing import announce_check
from keras_genimg.causality.random_weights import jittered_values, random_values
from keras_genimg.causality.sampler_check import check_difference
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.generation.scheme import Inspection, SamplingScheme
from keras_genimg.inputs.calls import cost_of_image
from keras_genimg.inputs.function_cache import UntilChange
from keras_genimg.keras_private import all_layers
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.graphs import random_operations, shared_eager_traces
from keras_genimg.ops.precision import has_half_precision, in_float32, is_quantized
from keras_genimg.sampling.program import Refusal

# Makes every value of a pixel about equally likely.
_FLAT = 1e6
# The check samples all rows of an image up to so many operations of a forward pass, a
# few seconds of two CPU cores, and fewer of larger models.
_AFFORDABLE = 5e9
_FEWEST_ROWS = 8


class Sampler:
    """Compiled function that generates or completes images.

    Before it is traced, the likelihood is checked. Before the first image, the
    incremental sampler is checked too: the parameters that it samples an image from
    must be those of a forward pass. The graph that is checked is the graph that
    generates, which takes the weights as inputs.

    Args:
        scheme: The `SamplingScheme` of the model.
        key: The `SamplerKey`.
        passed: The keys of new images whose samplers have passed the check. Completions
            are sampled in the same way, and need no other check.

    Call arguments:
        weights: Result of `prepare`.
        seeds: Integers, `(batch,)`.
        temperature: A scalar.
        *others: `images` and `known`, for completions; smaller images, to enlarge
            them; then the conditions.

    Returns:
        Images; for completions, a dict of what `SamplingScheme.complete` returns.

    Raises:
        ValueError: If the likelihood is wrong, the model is not causal, the sampler and
            the model disagree, or a layer uses random numbers of its own.

    Attributes:
        key: The `SamplerKey`.
    """

    def __init__(
        self,
        scheme: SamplingScheme,
        key: SamplerKey,
        passed: UntilChange[SamplerKey, bool],
    ):
        self.key = key
        self._scheme = scheme
        self._model = scheme.model
        self._passed = passed
        self._has_passed = False
        self._traced: Any = None
        self._networks: list[PixelModel] = []
        self._variables = list(self._model.weights)
        # One call that reads all weights takes a third of the time of one call each.
        read = tf.function(
            lambda: [tf.convert_to_tensor(weight) for weight in self._variables],
            autograph=False,
        )
        with tf.init_scope():
            self._read = read.get_concrete_function()
        signature = [
            [tf.TensorSpec(weight.shape, weight.dtype) for weight in self._variables],
            tf.TensorSpec((), tf.int32),
            tf.TensorSpec((), tf.bool),
            tf.TensorSpec((None,), tf.int64),
            tf.TensorSpec((), tf.float32),
            *(tf.TensorSpec((None, *shape)) for shape in scheme.given_shapes(key)),
            *(tf.TensorSpec(t.shape, t.dtype) for t in self._model.inputs[1:]),
        ]
        # The check uses this function. XLA would compile for minutes for its batch of
        # two images.
        self._without_xla = tf.function(
            self._run, input_signature=signature, autograph=False
        )
        self._function = self._without_xla
        if key.jit_compile:
            self._function = tf.function(
                self._run, input_signature=signature, autograph=False, jit_compile=True
            )

    def __call__(
        self,
        weights: list[tf.Tensor],
        seeds: tf.Tensor,
        temperature: tf.Tensor,
        *others: tf.Tensor,
    ) -> Any:
        # This calls the trace of `_run`.
        function = self._trace()
        num_rows, is_check = tf.constant(self.key.image_shape[0]), tf.constant(False)
        drawn, _ = function(weights, num_rows, is_check, seeds, temperature, *others)
        return drawn["images"] if self.key.num_candidates is None else drawn

    def _run(
        self,
        weights: list[tf.Tensor],
        num_rows: tf.Tensor,
        is_check: tf.Tensor,
        seeds: tf.Tensor,
        temperature: tf.Tensor,
        *others: tf.Tensor,
    ) -> tuple[dict[str, tf.Tensor], list[tuple[Any, ...]]]:
        """Generate or complete images with some weights, for a graph.

        Args:
            weights: The value of each of the model's weights.
            num_rows: Number of rows to sample, for the check.
            is_check: Whether this is the check, see `Inspection.guess_every_second`.
            seeds: See `Sampler`.
            temperature: See `Sampler`.
            *others: See `Sampler`.

        Returns:
            A dict of `images`, and of what else `SamplingScheme.complete` returns; and
            what each network of the incremental sampler recorded: images, parameters
            and conditions.
        """
        records = []
        inspection = Inspection(
            record=lambda *recorded: records.append(recorded),
            num_rows=num_rows,
            guess_every_second=is_check,
        )
        inputs = self.key, seeds, temperature, *others
        state = list(zip(self._variables, weights, strict=True))
        scope = keras.StatelessScope(state_mapping=state)
        try:
            with scope:
                if self.key.num_candidates is None:
                    images = self._scheme.generate(*inputs, inspection=inspection)
                    drawn = {"images": images}
                else:
                    drawn = self._scheme.complete(*inputs, inspection=inspection)
        finally:
            # It is checked after a failure too: TensorFlow fails on some noise without
            # saying why, and the error that is raised here replaces its own.
            self._refuse_noise(scope)
        self._networks = [network for network, *_ in records]
        recorded = [tuple(tensors) for _, *tensors in records]
        images = tf.cast(drawn["images"], np.dtype(self._model.likelihood.dtype))
        return {**drawn, "images": images}, recorded

    def _refuse_noise(self, scope: keras.StatelessScope) -> None:
        """Raise an error if sampling changed the state of a random generator."""
        model = self._model
        changed = scope.state_mapping.keys() - set(map(id, model.weights))
        if changed:
            owners = [
                f"{type(layer).__name__} '{layer.name}'"
                for layer in all_layers(model, include_self=False)
                if any(id(variable) in changed for variable in _variables_of(layer))
            ]
            error = Refusal(
                f"No image of {model.name} can be reproduced from its seed, since "
                f"layers use random numbers or keep a state of their own. Let them do "
                f"so only in training, and leave out `stateful=True`. Received: "
                f"{', '.join(owners) or 'a graph with noise'}"
            )
            error.depends_on_batch = True
            raise error

    def _refuse_random_operations(self, traced: Any) -> None:
        """Raise an error if a traced graph has noise that no seed decides."""
        operations = random_operations(traced)
        if operations:
            error = Refusal(
                f"No image of {self._model.name} can be reproduced from its seed, "
                f"since layers or the likelihood use numbers of `tf.random`. Layers "
                f"may do so only in training, and `sample` of a likelihood must use "
                f"the `uniforms` that it is given. Received: a graph with the "
                f"operations {', '.join(operations)}"
            )
            error.depends_on_batch = True
            raise error

    def prepare(self) -> list[tf.Tensor]:
        """Trace and check the sampler, if that was not done; return the weights."""
        self._trace()
        if self._model.check_causality:
            self.check_once()
        values = [weight.value for weight in self._model.weights]
        if all(isinstance(value, tf.Variable) for value in values):
            return self._read()
        # Inside a `keras.StatelessScope`, some values are not variables.
        return [tf.convert_to_tensor(value) for value in values]

    def _trace(self) -> Any:
        """Return the function that generates, after its first trace.

        Raises:
            ValueError: If the likelihood is wrong, or the incremental sampler does not
                support the model. If the model is causal, the error recommends the
                fixed-point sampler.
        """
        if self._traced is not None:
            return self._traced
        image_shape = self.key.image_shape
        # The likelihood is checked even without `check_causality`, since it has nothing
        # to do with causality.
        check_likelihood(self._model.likelihood, image_shape[-1])
        try:
            with tf.init_scope():
                # There is only one graph; a look-up by TensorFlow costs 0.3 ms.
                traced = self._function.get_concrete_function()
            self._refuse_random_operations(traced)
        except Refusal as error:
            if error.depends_on_batch or not is_causal(self._model, image_shape):
                raise
            raise Refusal(
                f"{error}. The model is causal, so it can be sampled without "
                f"changes by method='fixed_point'."
            ) from error
        self._traced = traced
        return traced

    def check_once(self) -> None:
        """Raise an error unless the sampler is right, see `check`.

        A sampler that has passed is not checked again, nor are those of completions
        that are sampled in the same way, until the model's layers change.
        """
        if self._has_passed:
            return
        passed, key = self._passed.entries(), self.key.without_candidates()
        if key not in passed:
            self.check()
            passed[key] = True
        self._has_passed = True

    def check(self) -> None:
        """Raise an error unless the sampler and the model agree.

        The check samples two images, with pixels of any value, under random weights and
        under the model's own with some noise; of large models their first rows, at
        least eight. It compares the parameters of each image with those of a forward
        pass of this image alone. If the sampler may guess whole rows, the check guesses
        every second row and samples the others pixel by pixel. A model in half
        precision is checked in float32, and then compared as closely as its rounding
        allows. If that is not close, and for the other methods, the graph alone is
        checked for leaks.

        Raises:
            ValueError: If they disagree, the sampler fails, or the model is not causal.
                The error names the layer, if it is found.
        """
        self._trace()
        with tf.init_scope(), shared_eager_traces(self.key.image_shape[0]):
            if self.key.method == "incremental":
                self._check_incremental()
            else:
                self._model.check_causal(self.key.image_shape)

    def _check_incremental(self) -> None:
        """Compare the parameters of the incremental sampler with a forward pass."""
        model, image_shape = self._model, self.key.image_shape
        is_half = has_half_precision(model)
        twin = in_float32(model) if is_half else None
        if twin is not None:
            key = self.key.without_candidates()
            Sampler(twin.sampling_scheme, key, self._passed).check()
        elif is_half or is_quantized(model) or is_on_gpu():
            model.check_causal(image_shape)
        else:
            announce_check(model, image_shape)
        both = random_values(model), jittered_values(model)
        try:
            sampled = [(weights, self._sampled_under(weights)) for weights in both]
        except tf.errors.InvalidArgumentError as error:
            if len(model.inputs) == 1:
                raise ValueError(
                    f"The incremental sampler of {model.name} cannot be checked, "
                    f"since it fails under random weights: {error.message}"
                ) from error
            warnings.warn(
                f"Could not check the sampler of {model.name}: its graph fails on "
                f"random conditions, whose unknown sizes are guessed "
                f"({type(error).__name__}). Compare some images with those of "
                f"method='ancestral'.",
                stacklevel=2,
            )
            return
        finite = [
            (weights, records)
            for weights, records in sampled
            if all(np.isfinite(params).all() for _, _, params, _ in records)
        ]
        for weights, records in finite or sampled[-1:]:
            for network, images, params, conditions in records:
                check_difference(network, weights, params, images, conditions)

    def _sampled_under(
        self, weights: list[tuple[keras.Variable, Any]]
    ) -> list[tuple[PixelModel, Any, Any, Any]]:
        """Return networks with two images, their parameters and conditions."""
        model, shape = self._model, self.key.image_shape
        generator = np.random.default_rng(0)
        inputs = random_conditions(model, (2, *shape), generator)
        given = self._scheme.given_shapes(self.key)
        inputs = [*(tf.zeros((2, *each)) for each in given), *inputs]
        values = [tf.cast(value, weight.dtype) for weight, value in weights]
        affordable = int(shape[0] * _AFFORDABLE / max(cost_of_image(model, shape), 1))
        num_rows = min(max(affordable, _FEWEST_ROWS), shape[0])
        seeds = tf.constant([0, 1], tf.int64)
        _, recorded = self._without_xla(
            values,
            tf.constant(num_rows),
            tf.constant(True),
            seeds,
            tf.constant(_FLAT),
            *inputs,
        )
        return [
            (network, images, params[:, :num_rows], given)
            for network, (images, params, given) in zip(
                self._networks, recorded, strict=True
            )
        ]


def _variables_of(layer: keras.Layer) -> list[keras.Variable]:
    """Return the variables of a layer, those included that Keras does not list.

    Recurrent layers with `stateful=True` do not list their states.
    """
    attributes = keras.tree.flatten(list(vars(layer).values()))
    unlisted = [each for each in attributes if isinstance(each, keras.Variable)]
    return [*layer.variables, *unlisted]
