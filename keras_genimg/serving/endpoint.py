"""Endpoints: functions that a server runs, with checks of their inputs."""

import dataclasses
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.ops.uniforms import MAX_SEED

# The largest number of examples that `Endpoint.few_apart` computes one by one.
MOST_APART = 3


@dataclasses.dataclass(frozen=True)
class Input:
    """An input of an endpoint, with the range of its values.

    Floats must be finite, whether or not there are limits.

    Example:
    >>> temperature = Input(tf.TensorSpec((None,), tf.float32), 0, low_open=True)
    >>> temperature.requirement
    'finite numbers above 0'
    >>> temperature.in_range(tf.constant([0.0, 0.5, math.inf])).numpy()
    array([False,  True, False])

    Attributes:
        spec: `tf.TensorSpec` with the batch as its first axis.
        low: Smallest value, or `None` if there is no lower limit.
        high: Largest value, or `None` if there is no upper limit.
        low_open: Whether `low` itself is excluded.

    Raises:
        ValueError: If a limit is not a finite number or, for an integer type, not an
            integer; or if no value is in range.
    """

    spec: tf.TensorSpec
    low: int | float | None = None
    high: int | float | None = None
    low_open: bool = False

    def __post_init__(self) -> None:
        kind = numbers.Real if self._is_float else numbers.Integral
        for name, limit in (("low", self.low), ("high", self.high)):
            finite = isinstance(limit, kind) and abs(limit) < float("inf")
            if limit is not None and not finite:
                raise ValueError(
                    f"`{name}` of an Input of type {self.spec.dtype.name} must be a "
                    f"finite {'number' if self._is_float else 'integer'}, or None for "
                    f"no limit. Received: {name}={limit!r}"
                )
        if self.low is None or self.high is None:
            return
        if self.low > self.high or (self.low_open and self.low == self.high):
            raise ValueError(
                f"`low` of an Input must be below `high`. Received: low={self.low!r}, "
                f"high={self.high!r}"
            )

    @property
    def requirement(self) -> str:
        """Human-readable description of valid values."""
        noun = "finite numbers" if self._is_float else "integers"
        noun = {tf.bool: "booleans", tf.string: "texts"}.get(self.spec.dtype, noun)
        if self.low is not None and self.high is not None and not self.low_open:
            return f"{noun} from {_text(self.low)} to {_text(self.high)}"
        limits = []
        if self.low is not None:
            above = "above" if self.low_open else "of at least"
            limits.append(f"{above} {_text(self.low)}")
        if self.high is not None:
            limits.append(f"of at most {_text(self.high)}")
        return " ".join([noun, " and ".join(limits)]).strip()

    def in_range(self, tensor: tf.Tensor) -> tf.Tensor:
        """Return which values are in range, a boolean tensor of the same shape."""
        if self._is_float:
            result = tf.math.is_finite(tensor)
        else:
            result = tf.ones_like(tensor, tf.bool)
        if self.low is not None:
            result &= tensor > self.low if self.low_open else tensor >= self.low
        if self.high is not None:
            result &= tensor <= self.high
        return result

    def metadata(self) -> dict[str, Any]:
        """Return type, shape and range as a dict of JSON values.

        Limits are numbers or `None`; integers of any size are exact.
        """
        return {
            "dtype": self.spec.dtype.name,
            "shape": self.spec.shape.as_list(),
            "must_be": self.requirement,
            "low": np.asarray(self.low).item(),
            "high": np.asarray(self.high).item(),
            "low_open": self.low_open,
            "finite": self._is_float,
        }

    @property
    def _is_float(self):
        return self.spec.dtype.is_floating


def _text(limit):
    """Return a limit as a person writes it: `2**62 - 1`, not 19 digits."""
    if isinstance(limit, int) and limit >= 2**31 - 1:
        exponent = (limit + 1).bit_length() - 1
        if limit + 1 == 2**exponent:
            return f"2**{exponent} - 1"
    return str(limit)


# One integer per example.
SEED = Input(tf.TensorSpec((None,), tf.int64), 0, MAX_SEED)


def images_input(image_shape):
    """Return the input `images`, displayable integers.

    They are int32 because a server silently wraps 256 to 0 in a uint8.

    Args:
        image_shape: `(height, width, colors)`.
    """
    return Input(tf.TensorSpec((None, *image_shape), tf.int32), 0, 255)


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A function that a server runs on request.

    Every input and output has the batch as its first axis. The outputs for example `i`
    depend on the inputs of example `i` alone.

    Attributes:
        function: Takes the inputs by name and returns a dict of outputs by name.
        inputs: Dict of `Input` by name.
        jit_compile: Whether to compile the function with XLA, which must be enabled on
            the server. It is then called with a power of two or the largest number of
            examples, some of them repeated.
        num_candidates: Number of images that the function draws per example to return
            one of them. Each counts toward `max_examples`.
        mergeable: Whether `concrete` may merge the requests of several clients. Images
            hide the rounding that depends on the number of examples; a log-probability
            shows it.
        few_apart: Whether to compute two or three examples one after the other. True
            for models that have a quicker way for single images, but not for two.
        warm_up: Whether to write warm-up requests for it.
        at_most: Largest value of an output, by name of output. `verify` fails above it.
    """

    function: Callable
    inputs: dict[str, Input]
    jit_compile: bool = False
    num_candidates: int = 1
    mergeable: bool = False
    few_apart: bool = False
    warm_up: bool = True
    at_most: dict[str, float] = dataclasses.field(default_factory=dict)

    def most_examples(self, max_examples: int) -> int:
        """Return the largest number of examples per call.

        Args:
            max_examples: Largest number of examples, counting every candidate.

        Raises:
            ValueError: If a single example has more than `max_examples` candidates.
        """
        if self.num_candidates > max_examples:
            raise ValueError(
                f"A call must have room for one example and all of its candidates. "
                f"Increase `max_examples`, or decrease `num_candidates`. Received: "
                f"max_examples={max_examples}, num_candidates={self.num_candidates}"
            )
        return max_examples // self.num_candidates

    def concrete(
        self, max_examples: int, queue: str | None = None
    ) -> tf.types.experimental.ConcreteFunction:
        """Return the traced function, which first checks shapes and then values.

        TensorFlow Serving checks no shapes, and a wrong rank that reaches a
        convolution ends its process.

        Args:
            max_examples: Largest number of examples per call, counting every candidate.
            queue: Name of the queue in which checked requests wait to be computed
                together, or None to compute each alone. Functions that share a queue
                answer each other's requests, so it must be unique in a process.
        """
        most_examples = self.most_examples(max_examples)
        function = self.function
        specs = {
            name: tf.TensorSpec.from_spec(given.spec, name)
            for name, given in self.inputs.items()
        }
        if self.few_apart:
            function = _few_apart(function, specs)
        if self.jit_compile:
            compiled = tf.function(function, jit_compile=True, autograph=False)
            function = _in_few_sizes(compiled, most_examples)
        if queue is not None:
            function = self._merged(function, most_examples, queue)

        def run(**inputs):
            inputs = {
                name: tf.ensure_shape(inputs[name], spec.shape)
                for name, spec in specs.items()
            }
            with tf.control_dependencies(self._checks(inputs, max_examples)):
                inputs = {name: tf.identity(given) for name, given in inputs.items()}
            return function(**inputs)

        return tf.function(run, autograph=False).get_concrete_function(**specs)

    def _merged(self, function, most_examples, queue):
        """Return `function` as one that runs once for all requests in a queue."""
        names = list(self.inputs)
        traced = tf.function(
            lambda *values: function(**dict(zip(names, values, strict=True))),
            autograph=False,
        ).get_concrete_function(*(self.inputs[name].spec for name in names))
        results = traced.structured_outputs

        def run(**inputs):
            outputs = tf.raw_ops.BatchFunction(
                in_tensors=[inputs[name] for name in names],
                captured_tensors=traced.captured_inputs,
                f=traced,
                Tout=[tensor.dtype for tensor in traced.outputs],
                max_batch_size=most_examples,
                shared_name=queue,
                # With a time-out of 0, requests wait only while all threads are busy.
                num_batch_threads=2,
                batch_timeout_micros=0,
                max_enqueued_batches=64,
            )
            outputs = tf.nest.pack_sequence_as(results, outputs)
            return {
                name: tf.ensure_shape(tensor, results[name].shape)
                for name, tensor in outputs.items()
            }

        return run

    def _checks(self, inputs, max_examples):
        """Return assertions about the numbers of examples and the ranges of values."""
        most_examples = self.most_examples(max_examples)
        limit = f"{max_examples} examples"
        if self.num_candidates > 1:
            limit = (
                f"{most_examples} examples of {self.num_candidates} candidates, "
                f"{max_examples} images in all"
            )
        sizes = [tf.shape(tensor)[0] for tensor in inputs.values()]
        checks = [
            tf.debugging.Assert(
                (sizes[0] > 0) & (sizes[0] <= most_examples),
                [f"a call takes 1 to {limit}, got", sizes[0]],
            ),
            tf.debugging.Assert(
                tf.reduce_all(tf.equal(sizes, sizes[0])),
                [
                    f"{', '.join(inputs)} must have the same number of examples, got",
                    sizes,
                ],
            ),
        ]
        for name, given in self.inputs.items():
            in_range = given.in_range(inputs[name])
            wrong = tf.boolean_mask(inputs[name], ~in_range)
            text = f"{name} must be {given.requirement}, got"
            checks.append(tf.debugging.Assert(tf.reduce_all(in_range), [text, wrong]))
        return checks


def with_png(endpoints):
    """Add the endpoint `sample_png` to endpoints with `sample`.

    Its output is called `png_bytes` because a server encodes only outputs with the
    suffix `_bytes` as base64; other strings are not valid JSON. XLA cannot encode PNG,
    so XLA endpoints have no PNG variant.

    Args:
        endpoints: Dict of `Endpoint` by signature name, `sample` among them.
    """
    sample = endpoints["sample"]
    if sample.jit_compile:
        return endpoints

    # One tf.function, so that both signatures share its graph.
    sample = dataclasses.replace(
        sample, function=tf.function(sample.function, autograph=False)
    )

    def run_sample_png(**inputs):
        images = sample.function(**inputs)["images"]
        png = tf.map_fn(tf.io.encode_png, images, fn_output_signature=tf.string)
        return {"png_bytes": png}

    png = dataclasses.replace(sample, function=run_sample_png)
    return {**endpoints, "sample": sample, "sample_png": png}


def _few_apart(function, specs):
    """Return `function` as one that computes two or three examples one by one.

    Four and more are computed together. A loop of one to three iterations holds the
    graph once, while a branch for few examples would hold it twice.
    """
    traced = tf.function(function, autograph=False).get_concrete_function(**specs)
    results = traced.structured_outputs

    def run(**inputs):
        count = tf.shape(next(iter(inputs.values())))[0]
        is_few = count <= MOST_APART
        num_parts = tf.where(is_few, count, 1)
        size = tf.where(is_few, 1, count)

        def compute(part, found):
            here = slice(part * size, (part + 1) * size)
            outputs = traced(**{name: given[here] for name, given in inputs.items()})
            return part + 1, {
                name: found[name].write(part, output)
                for name, output in outputs.items()
            }

        empty = {
            name: tf.TensorArray(
                result.dtype, num_parts, element_shape=result.shape, infer_shape=False
            )
            for name, result in results.items()
        }
        _, found = tf.while_loop(
            lambda part, _: part < num_parts, compute, (tf.constant(0), empty)
        )
        return {
            name: tf.ensure_shape(parts.concat(), results[name].shape)
            for name, parts in found.items()
        }

    return run


def _in_few_sizes(function, most_examples):
    """Return `function` as one that is called with few numbers of examples.

    XLA compiles a program for each number, which takes a second and stays in memory. So
    examples are repeated up to the next power of two or the largest number.
    """
    powers = [2**k for k in range(most_examples.bit_length())]
    sizes = sorted({*powers, most_examples})

    def run(**inputs):
        count = tf.shape(next(iter(inputs.values())))[0]
        size = tf.gather(sizes, tf.searchsorted(sizes, count[None])[0])
        chosen = tf.minimum(tf.range(size), count - 1)
        padded = {name: tf.gather(given, chosen) for name, given in inputs.items()}
        return {name: given[:count] for name, given in function(**padded).items()}

    return run
