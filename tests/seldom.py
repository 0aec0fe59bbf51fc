"""Parameters of tests, of which most are tried less often."""

import pytest


def slow_but(values, *fast):
    """Return `values` as parameters, of which all but `fast` are marked slow."""
    return _marked(pytest.mark.slow, values, fast)


def weekly_but(values, *often):
    """Return `values` as parameters, of which all but `often` are marked weekly."""
    return _marked(pytest.mark.weekly, values, often)


def _marked(mark, values, others):
    missing = set(others) - set(values)
    if missing:
        raise ValueError(f"These must be among the values. Received: {missing}")
    return [
        value if value in others else pytest.param(value, marks=mark)
        for value in values
    ]
