"""Inputs of endpoints and the values that they accept."""

import dataclasses
import numbers
from typing import Any

import numpy as np
import tensorflow as tf

from keras_genimg.ops.uniforms import MAX_SEED


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


def images_input(image_shape):
    """Return the input `images`, displayable integers.

    They are int32 because a server silently wraps 256 to 0 in a uint8.

    Args:
        image_shape: `(height, width, colors)`.
    """
    return Input(tf.TensorSpec((None, *image_shape), tf.int32), 0, 255)


def _text(limit):
    """Return a limit as a person writes it: `2**62 - 1`, not 19 digits."""
    if isinstance(limit, int) and limit >= 2**31 - 1:
        exponent = (limit + 1).bit_length() - 1
        if limit + 1 == 2**exponent:
            return f"2**{exponent} - 1"
    return str(limit)


# One integer per example.
SEED = Input(tf.TensorSpec((None,), tf.int64), 0, MAX_SEED)
