import dataclasses

import numpy as np
import pytest

from keras_genimg.causality.changes import leaks_between


@dataclasses.dataclass
class Pairs:
    """Two images of four units, of which the third one changes."""

    units = np.array([2, 2])
    unit_shape = (2, 2)


@pytest.mark.parametrize("change, is_leak", [(1e-7, False), (1e-3, True)])
def test_rounding_is_no_leak(change, is_leak):
    before = np.zeros((2, 4, 3), "float32")
    after = before.copy()
    after[:, 3] = 1.0  # A later unit may change.
    after[0, 1, 2] = change
    expected = np.zeros((2, 4), bool)
    expected[0, 1] = is_leak
    np.testing.assert_array_equal(leaks_between(Pairs(), before, after), expected)


def test_changes_below_the_noise_are_no_leaks():
    before = np.zeros((2, 4, 3), "float32")
    after = before + 0.01
    assert not leaks_between(Pairs(), before, after, noise=0.02).any()
    assert leaks_between(Pairs(), before, after, noise=0.005)[:, :3].all()
