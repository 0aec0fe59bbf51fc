"""Compiled samplers of autoregressive models."""

import functools
import math

import tensorflow as tf

from keras_genimg.models.candidates import candidate_completer
from keras_genimg.models.progress import GraphCounter
from keras_genimg.ops.fingerprint import fingerprint_of
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import METHODS, check_difference
from keras_genimg.sampling.difference import difference_of_params


class TracedSampler:
    """A compiled function that draws or completes images.

    A graph may hold layers that are neither Keras' nor the library's. Their methods for
    the sampler may disagree with their `call`, or they may be called pointwise without
    being so. So the parameters that the first image was drawn from are compared with
    those of a forward pass, once for the weights as they are: weights of zero can hide
    a fault.

    Args:
        model: An `AutoregressiveModel`.
        method: A key of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        jit_compile: Whether to compile with XLA.
        num_candidates: Number of candidates for a function that completes; None for one
            that draws.

    Call arguments:
        seeds: Integers, `(batch,)`.
        temperature: A scalar.
        *others: `images` and `known` if the function completes; then the conditions.

    Returns:
        Images; of a function that completes also effective sample sizes.

    Raises:
        ValueError: If the model is not causal, or the sampler does not compute what the
            model computes.

    Attributes:
        counter: The `GraphCounter` that a call reports to, or None.
    """

    def __init__(self, model, method, image_shape, jit_compile, num_candidates=None):
        self._model = model
        self._image_shape = tuple(image_shape)
        self._proven = None
        self._concrete = None
        self.counter = None
        drawn = []
        if method == "incremental":
            # Counting the rows of pixels takes half as long again as drawing them.
            draw = METHODS[method](model, jit_compile)
            draw = functools.partial(draw, record=drawn.append)
        elif jit_compile or tf.distribute.has_strategy():
            draw = METHODS[method](model)  # XLA writes variables only at the end.
        else:
            units = model.likelihood.unit_shape(image_shape)
            self.counter = GraphCounter(math.prod(units))
            draw = METHODS[method](model, report=self.counter.report)
        given = []
        if num_candidates is None:
            sample = pixel_sampler(draw, image_shape)
        else:
            sample = candidate_completer(model, draw, image_shape, num_candidates)
            given = [tf.TensorSpec((None, *image_shape))] * 2

        def run(*inputs):
            drawn.clear()
            outputs = sample(*inputs)
            images, *sizes = outputs if num_candidates else (outputs,)
            outputs = (tf.cast(images, model.likelihood.dtype), *sizes)
            return outputs if num_candidates else outputs[0], tuple(*drawn)

        # The weights' fingerprint in the same graph: it costs next to nothing there. (A
        # graph around an XLA function slows down all later graphs of a process.)
        self._function = tf.function(
            lambda *inputs: (*run(*inputs), fingerprint_of(model.weights)),
            input_signature=[
                tf.TensorSpec((None,), tf.int64),
                tf.TensorSpec((), tf.float32),
                *given,
                *(tf.TensorSpec(t.shape, t.dtype) for t in model.inputs[1:]),
            ],
            autograph=False,
            jit_compile=jit_compile,
        )

    def __call__(self, seeds, temperature, *others):
        if not tf.executing_eagerly():
            # In a graph of the caller, which may run when nothing can be looked at.
            self._model._causality_check.run(self._image_shape)
            return self._function(seeds, temperature, *others)[0]
        function = self._function
        if not tf.config.functions_run_eagerly():
            # There is only one graph. Letting TensorFlow look it up costs 0.3 ms.
            if self._concrete is None:
                self._concrete = function.get_concrete_function()
            function = self._concrete
        outputs, drawn, fingerprint = function(seeds, temperature, *others)
        fingerprint = fingerprint.numpy().tobytes()
        drawn = drawn if self._proven != fingerprint else ()
        image, params, conditions = drawn or (None, None, ())
        also = [image, *conditions] if drawn else []
        expected = self._model._causality_check.run(
            self._image_shape, fingerprint, also
        )
        if drawn:
            if expected is None:
                # Eagerly: to trace the graph would take longer than to run it.
                expected = self._model(also if conditions else image, training=False)
            difference = difference_of_params(params, expected)
            check_difference(self._model, difference, image, conditions)
            self._proven = fingerprint
        return outputs

    @property
    def num_traces(self):
        """How often the graph has been traced."""
        return self._function.experimental_get_tracing_count()


def pixel_sampler(draw, image_shape):
    """Return a function of `(seeds, temperature, *conditions)` that draws images.

    Args:
        draw: What a sampler of `keras_genimg.sampling.METHODS` returned.
        image_shape: `(height, width, colors)`.

    Returns:
        A function for a graph: seeds of shape `(batch,)` and a temperature that is a
        scalar or of shape `(batch,)` in, float32 images in the likelihood's own range
        out.
    """

    def sample(seeds, temperature, *conditions):
        uniforms = seeded_uniforms(seeds, image_shape)
        temperature = tf.reshape(temperature, (-1, 1, 1, 1))
        images = draw(uniforms, temperature, conditions)
        return tf.ensure_shape(images, (None, *image_shape))

    return sample
