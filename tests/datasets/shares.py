"""A test of draws."""

import numpy as np
from scipy import stats


def check_shares(values, shares):
    """Raise unless integers from 0 on are as frequent as `shares` say, up to chance."""
    counts = np.bincount(values, minlength=len(shares))
    assert len(counts) == len(shares), counts
    expected = counts.sum() * np.array(shares) / np.sum(shares)
    assert stats.chisquare(counts, expected).pvalue > 1e-4, (counts, expected)
