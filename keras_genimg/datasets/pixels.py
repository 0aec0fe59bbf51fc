"""Options of a data set's pixels, from its arguments or a likelihood."""

from typing import Any

from keras_genimg import likelihoods
from keras_genimg.datasets.checks import check_pixels


def pixel_options(likelihood, binarize, num_values, intensities, fixed):
    """Return `binarize`, `num_values` and `intensities` as `make_batches` takes them.

    Args:
        likelihood: Name or object, or None.
        binarize: `None`, `"dynamic"` or `"fixed"`.
        num_values: Number of values of a pixel, or None for 256.
        intensities: Whether pixels are real numbers in [0, 1].
        fixed: Whether a likelihood of binarized pixels gets the same pixels in each
            epoch.

    Raises:
        ValueError: If an argument is out of range, or they exclude each other.

    Example:
        >>> pixel_options("bernoulli", None, None, False, fixed=True)
        ('fixed', 256, False)
    """
    given: dict[str, Any] = {
        "binarize": binarize,
        "num_values": num_values,
        "intensities": intensities or None,
    }
    given = {name: value for name, value in given.items() if value is not None}
    if likelihood is not None:
        given = _with_likelihood(likelihoods.get(likelihood), given, fixed)
    binarize = given.get("binarize")
    num_values = given.get("num_values", 256)
    intensities = given.get("intensities", False)
    check_pixels(binarize, num_values, intensities)
    return binarize, num_values, intensities


def _with_likelihood(likelihood, given, fixed):
    """Return the arguments that a likelihood asks for, or raise if `given` differ."""
    values = likelihood.num_values
    if values is None:
        wanted = {"intensities": True}
    elif likelihood.binarizes:
        wanted = {"binarize": "fixed" if fixed else "dynamic"}
    else:
        wanted = {"num_values": values}
    if values is not None and values > 256:
        raise ValueError(
            f"Images have 8 bits, so their pixels take at most 256 values. Give "
            f"`likelihood` no more. Received: likelihood={likelihood}"
        )
    if values == 2 and list(given) == ["binarize"]:
        return given  # How pixels become 0 and 1 is left to the caller.
    for name, value in given.items():
        if wanted.get(name) != value:
            asked = ", ".join(f"{key}={value!r}" for key, value in wanted.items())
            raise ValueError(
                f"`likelihood` and `{name}` contradict each other: {likelihood} asks "
                f"for {asked}. Leave out `{name}`, or `likelihood`. Received: "
                f"likelihood={likelihood}, {name}={value!r}"
            )
    return wanted
