"""Compiled samplers of autoregressive models."""

import functools

import tensorflow as tf

from keras_genimg.models.candidates import candidate_completer
from keras_genimg.models.progress import GraphCounter
from keras_genimg.models.temperatures import temperatures
from keras_genimg.ops.fingerprint import fingerprint_of
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import check_difference
from keras_genimg.sampling.difference import difference_of_params


class TracedSampler:
    """Compiled function that draws or completes images.

    In a custom layer, the methods for the sampler may disagree with `call`, or the
    layer may be declared pointwise but not be so. If the graph contains custom layers,
    the parameters of the first image are therefore compared with those of a forward
    pass. The comparison is repeated when the weights change, since weights of 0 can
    hide a fault.

    Args:
        model: An `AutoregressiveModel`.
        method: A key of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        jit_compile: Whether to compile with XLA.
        num_candidates: Number of candidates, for completions; None to draw new images.

    Call arguments:
        seeds: Integers, `(batch,)`.
        temperature: A scalar.
        *others: `images` and `known`, for completions; then the conditions.

    Returns:
        Images; for completions, also effective sample sizes.

    Raises:
        ValueError: If the model is not causal, or the sampler and the model disagree.

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
            # Counting rows of pixels would make drawing 1.5 times as long.
            draw = model._sampler(method, jit_compile)
            draw = functools.partial(draw, record=drawn.append)
        elif jit_compile or tf.distribute.has_strategy():
            draw = model._sampler(method)  # XLA writes variables only at the end.
        else:
            self.counter = GraphCounter(model._num_passes(image_shape))
            draw = model._sampler(method, report=self.counter.report)
        given = []
        if num_candidates is None:
            sample = pixel_sampler(draw, image_shape, model._drawn_shape(image_shape))
        else:
            sample = candidate_completer(model, draw, image_shape, num_candidates)
            given = [tf.TensorSpec((None, *image_shape))] * 2

        def run(*inputs):
            drawn.clear()
            outputs = sample(*inputs)
            images, *sizes = outputs if num_candidates else (outputs,)
            outputs = (tf.cast(images, model.likelihood.dtype), *sizes)
            return outputs if num_candidates else outputs[0], tuple(*drawn)

        # Compute the weights' fingerprint in the same graph, where it costs almost
        # nothing. (A graph around an XLA function slows down all later graphs of a
        # process.)
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
            # Part of the caller's graph, which may run when nothing can be checked.
            self._model._causality_check.run(self._image_shape)
            return self._function(seeds, temperature, *others)[0]
        function = self._function
        if not tf.config.functions_run_eagerly():
            # There is only one graph; a look-up by TensorFlow would cost 0.3 ms.
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
                # Eagerly, since tracing the graph would take longer than running it.
                expected = self._model(also if conditions else image, training=False)
            difference = difference_of_params(params, expected)
            check_difference(self._model, difference, image, conditions)
            self._proven = fingerprint
        return outputs

    @property
    def num_traces(self):
        """Number of times that the graph has been traced."""
        return self._function.experimental_get_tracing_count()


def pixel_sampler(draw, image_shape, uniforms_shape=None):
    """Return a function of `(seeds, temperature, *conditions)` that draws images.

    Args:
        draw: Function made by a sampler of `keras_genimg.sampling.METHODS`.
        image_shape: `(height, width, colors)`.
        uniforms_shape: Shape of the random numbers of an image, by default its own.

    Returns:
        A function for a graph. Its arguments are the seeds, `(batch,)`; a temperature,
        a scalar or `(batch,)`; and the conditions. It returns float32 images in the
        likelihood's own range.
    """

    def sample(seeds, temperature, *conditions):
        uniforms = seeded_uniforms(seeds, uniforms_shape or image_shape)
        temperature = temperatures(temperature)
        images = draw(uniforms, temperature, conditions)
        return tf.ensure_shape(images, (None, *image_shape))

    return sample
