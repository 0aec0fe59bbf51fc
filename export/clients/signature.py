"""Signatures of a served model."""

import dataclasses

import numpy as np

from .errors import ClientError


@dataclasses.dataclass(frozen=True)
class Tensor:
    """Type and shape of an input or an output.

    Attributes:
        dtype: Name of a NumPy type, or `"string"`.
        shape: Sizes, the batch first; -1 for any size.
    """

    dtype: str
    shape: tuple[int, ...]


@dataclasses.dataclass(frozen=True)
class Signature:
    """A function of a served model.

    Attributes:
        name: Its name.
        inputs: `Tensor` by name.
        outputs: `Tensor` by name.
    """

    name: str
    inputs: dict[str, Tensor]
    outputs: dict[str, Tensor]

    def checked(self, inputs):
        """Return the inputs as arrays of the types that the signature takes.

        Raises:
            ClientError: If one is missing or unknown, or does not fit its type.
        """
        if set(inputs) != set(self.inputs):
            raise ClientError(
                f"signature {self.name} takes {', '.join(sorted(self.inputs))}; "
                f"given: {', '.join(sorted(inputs)) or 'nothing'}"
            )
        return {
            name: _cast(name, value, self.inputs[name].dtype)
            for name, value in inputs.items()
        }


def _cast(name, value, dtype):
    """Cast a value to a type; refuse other kinds and values out of range."""
    array = np.asarray(value)
    if dtype == "string":
        return array.astype(object)
    wanted = np.dtype(dtype)
    if wanted.kind in "iu":
        fits = array.dtype.kind in "iu" and _within(array, np.iinfo(wanted))
    elif wanted.kind == "f":
        fits = array.dtype.kind in "iuf" and _within(array, np.finfo(wanted))
    else:
        fits = array.dtype == wanted
    if not fits:
        found = f"{array.dtype} {array.reshape(-1)[:3].tolist()}"
        raise ClientError(f"{name} must be of type {dtype}; given: {found}")
    return array.astype(wanted)


def _within(array, limits):
    return bool(np.all((array >= limits.min) & (array <= limits.max)))
