"""Comparisons of random samples with their distribution, up to chance.

Each function is one test of a hypothesis: called with samples of the right distribution
it fails with a probability of about `LEVEL`, for all its comparisons together. Tests
without these functions state their own statistic and level. The levels of the suite,
those of about 200 calls included, sum to less than 1 in 1,000. Not among them is
`test_mixed_precision_reaches_the_loss_of_float32`, which compares trained models and
states how far apart they were for other seeds.

That is the probability to fail when random numbers change: with another seed, or with a
version of NumPy or TensorFlow that draws others. Seeds are fixed, by each test or for
all by `fixed_seed` of `tests/conftest.py`, so a test that passed draws the same numbers
again.
"""

import math
from statistics import NormalDist

import numpy as np
from scipy import stats

LEVEL = 1e-6


def largest_deviate(comparisons=1):
    """Return the absolute value that some standard normal numbers exceed by chance.

    Args:
        comparisons: Number of the normal numbers, which may depend on each other.
    """
    return NormalDist().inv_cdf(1 - LEVEL / 2 / comparisons)


def check_shares(values, shares):
    """Check that integers from 0 on are as frequent as `shares` say, by chi-square."""
    counts = np.bincount(values, minlength=len(shares))
    assert len(counts) == len(shares), counts
    expected = counts.sum() * np.array(shares) / np.sum(shares)
    assert stats.chisquare(counts, expected).pvalue > LEVEL, (counts, expected)


def check_counts(counts, trials, probabilities):
    """Check numbers of successes among some trials each, by exact binomial tests."""
    pairs = list(zip(np.ravel(counts), np.ravel(probabilities), strict=True))
    for count, probability in pairs:
        found = stats.binomtest(int(count), trials, probability).pvalue
        assert found > LEVEL / len(pairs), (count, trials, probability)


def check_means(samples, means, deviations):
    """Check the means over the first axis, which are about normal.

    Args:
        samples: Array of independent samples, `(samples, ...)`.
        means: Their expectations, a number or `(...)`.
        deviations: Their standard deviations, alike.
    """
    samples = np.asarray(samples, "float64")
    errors = (samples.mean(axis=0) - means) / deviations * math.sqrt(len(samples))
    assert np.abs(errors).max() < largest_deviate(errors.size), errors


def check_standard_normals(numbers):
    """Check mean and variance of independent standard normal numbers, exactly."""
    numbers = np.ravel(numbers).astype("float64")
    mean = numbers.mean() * math.sqrt(numbers.size)
    assert abs(mean) < largest_deviate(2), mean
    below = stats.chi2(numbers.size).cdf((numbers**2).sum())
    assert LEVEL / 4 < below < 1 - LEVEL / 4, (numbers.std(), below)


def check_intensities(drawn, probabilities):
    """Check sums of independent values in [0, 1] over the first axis, rigorously.

    By Hoeffding's inequality, whatever their distributions.

    Args:
        drawn: `(samples, ...)`.
        probabilities: Their expectations, alike.
    """
    errors = np.mean(np.asarray(drawn, "float64") - probabilities, axis=0)
    limit = math.sqrt(math.log(2 * errors.size / LEVEL) / 2 / len(drawn))
    assert np.abs(errors).max() < limit, (errors, limit)


def check_uncorrelated(rows):
    """Check the correlation of each pair of rows, whose numbers are independent."""
    correlation = np.corrcoef(rows)
    found = correlation[np.triu_indices(len(correlation), 1)]
    limit = largest_deviate(found.size) / math.sqrt(np.shape(rows)[1])
    assert np.abs(found).max() < limit, found
