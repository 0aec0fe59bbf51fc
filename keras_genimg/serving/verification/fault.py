"""Faults found by checks."""

TEXT_LENGTH = 300
MAX_FAULTS = 20


class Fault(Exception):
    """A reason not to serve a SavedModel."""


def raise_faults(faults):
    """Raise a `Fault` unless there are none.

    Args:
        faults: Iterable of texts.
    """
    faults = [fault[:TEXT_LENGTH] for fault in faults]
    more = len(faults) - MAX_FAULTS
    if more > 0:
        faults = [*faults[:MAX_FAULTS], f"and {more} more"]
    if faults:
        raise Fault("\n      ".join(faults))
