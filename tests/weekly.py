"""Parameters of slow tests that are tried once a week."""

import pytest


def weekly_but(values, *often):
    """Return `values` as parameters, of which all but `often` are marked weekly."""
    missing = set(often) - set(values)
    if missing:
        raise ValueError(f"`often` must be among the values. Received: {missing}")
    return [
        value if value in often else pytest.param(value, marks=pytest.mark.weekly)
        for value in values
    ]
