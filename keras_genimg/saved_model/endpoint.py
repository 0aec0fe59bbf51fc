"""Endpoints: functions that a server runs, and the checks of what clients send."""

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from keras_genimg.saved_model.input import Input


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A function that a server offers.

    Every input and output has the batch as its first axis, and row `i` of an output
    depends on row `i` of the inputs alone, so that a server may merge requests.

    Attributes:
        function: Takes the inputs by name and returns a dict of outputs by name.
        inputs: `Input` by name.
        jit_compile: Whether to compile the function with XLA, which a server must be
            told to allow.
        num_candidates: How many images the function draws for each row, to return one
            of them. All of them count as rows of a call.
        warm_up: Whether a server may be given warm-up requests for it.
        at_most: Largest value that an output may have, by name of output; `verify`
            refuses more.
    """

    function: Callable
    inputs: dict[str, Input]
    jit_compile: bool = False
    num_candidates: int = 1
    warm_up: bool = True
    at_most: dict[str, float] = dataclasses.field(default_factory=dict)

    def most_rows(self, max_rows):
        """Return how many rows one call may have.

        Args:
            max_rows: Most rows, each candidate counted.

        Raises:
            ValueError: If a single row has more candidates than that.
        """
        if self.num_candidates > max_rows:
            raise ValueError(
                f"A call must have room for one row and all of its candidates. "
                f"Increase `max_rows`, or decrease `num_candidates`. Received: "
                f"max_rows={max_rows}, num_candidates={self.num_candidates}"
            )
        return max_rows // self.num_candidates

    def concrete(self, max_rows, bad_rows="error"):
        """Return the traced function, which checks shapes before all else.

        TensorFlow Serving checks no shapes, and a wrong rank that reaches a
        convolution ends its process.

        Args:
            max_rows: Most rows that one call may have, each candidate counted.
            bad_rows: What a row that is out of range does: `"error"` fails the call,
                `"flag"` gives zeros and false in the output `ok`, for a server that
                merges the requests of several clients.
        """
        most_rows, limit = self.most_rows(max_rows), f"{max_rows} rows"
        if self.num_candidates > 1:
            limit = (
                f"{most_rows} rows of {self.num_candidates} candidates, {max_rows} "
                f"images in all"
            )
        function = self.function
        if self.jit_compile:
            function = tf.function(function, jit_compile=True, autograph=False)

        def run(**inputs):
            inputs = {
                name: tf.ensure_shape(inputs[name], given.spec.shape)
                for name, given in self.inputs.items()
            }
            inputs = _with_row_checks(inputs, most_rows, limit)
            in_range = {
                name: given.in_range(inputs[name])
                for name, given in self.inputs.items()
            }
            if bad_rows == "error":
                return function(**self._refused(inputs, in_range))
            valid = [
                tf.reduce_all(where, axis=list(range(1, where.shape.rank)))
                for where in in_range.values()
            ]
            ok = tf.reduce_all(tf.stack(valid), axis=0)  # (batch,)
            inputs = {
                name: tf.where(_like(ok, tensor), tensor, self.inputs[name].safe)
                for name, tensor in inputs.items()
            }
            outputs = {
                name: tf.where(_like(ok, tensor), tensor, tf.zeros_like(tensor))
                for name, tensor in function(**inputs).items()
            }
            return {**outputs, "ok": ok}

        specs = {
            name: tf.TensorSpec(given.spec.shape, given.spec.dtype, name=name)
            for name, given in self.inputs.items()
        }
        return tf.function(run, autograph=False).get_concrete_function(**specs)

    def _refused(self, inputs, in_range):
        """Return the inputs, which fail where a value is not in range."""
        checks = [
            tf.debugging.Assert(
                tf.reduce_all(in_range[name]),
                [
                    f"{name} must be {given.requirement}, got",
                    tf.boolean_mask(inputs[name], ~in_range[name]),
                ],
            )
            for name, given in self.inputs.items()
        ]
        with tf.control_dependencies(checks):
            return {name: tf.identity(tensor) for name, tensor in inputs.items()}


def _with_row_checks(inputs, most_rows, limit):
    """Return inputs that fail unless they have as many rows, 1 to `most_rows`."""
    rows = [tf.shape(tensor)[0] for tensor in inputs.values()]
    checks = [
        tf.debugging.Assert(
            (rows[0] > 0) & (rows[0] <= most_rows),
            [f"a call takes 1 to {limit}, got", rows[0]],
        ),
        tf.debugging.Assert(
            tf.reduce_all(tf.equal(rows, rows[0])),
            [f"{', '.join(inputs)} must have the same number of rows, got", rows],
        ),
    ]
    with tf.control_dependencies(checks):
        return {name: tf.identity(tensor) for name, tensor in inputs.items()}


def _like(ok, tensor):
    """Return `(batch,)` with axes of 1 behind, to be broadcast against `tensor`."""
    return tf.reshape(ok, (-1, *[1] * (tensor.shape.rank - 1)))
