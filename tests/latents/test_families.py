import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import latents
from keras_genimg.latents import DiagonalNormal, FullNormal, Laplace
from keras_genimg.ops.uniforms import LATENTS, POSTERIOR
from tests.by_chance import check_means

DIM = 2
# Means (1, -2), standard deviations or scales (0.5, 3).
LOCATION, SCALE = np.array([1.0, -2.0]), np.array([0.5, 3.0])
TWO_BY_TWO = np.array([*LOCATION, *np.log(SCALE)], "float32")
# TFP fills a triangle from the last row: here (1.5, 3), then 0.5.
FACTOR = np.array([[0.5, 0.0], [1.5, 3.0]])
FULL = np.array([*LOCATION, np.log(3.0), 1.5, np.log(0.5)], "float32")
FAMILIES = {
    "diagonal_normal": (DiagonalNormal(), TWO_BY_TWO, np.diag(SCALE**2)),
    "full_normal": (FullNormal(), FULL, FACTOR @ FACTOR.T),
    "laplace": (Laplace(), TWO_BY_TWO, np.diag(2 * SCALE**2)),
    "log_variance": (
        DiagonalNormal("log_variance"),
        np.float32([*LOCATION, *np.log(SCALE**2)]),
        np.diag(SCALE**2),
    ),
}
EVERY_FAMILY = pytest.mark.parametrize("name", FAMILIES)


def log_density(name, z, location, covariance):
    offset = z - location
    if name == "laplace":
        scale = np.sqrt(np.diag(covariance) / 2)
        return -(np.abs(offset) / scale + np.log(2 * scale)).sum(axis=-1)
    distance = np.einsum("ni,ij,nj->n", offset, np.linalg.inv(covariance), offset)
    return -(distance + np.linalg.slogdet(2 * np.pi * covariance)[1]) / 2


@EVERY_FAMILY
def test_density_and_moments_by_hand(name):
    family, params, covariance = FAMILIES[name]
    assert family.params_size(DIM) == len(params)
    z = np.random.default_rng(0).normal(size=(20, DIM)) * 3
    member = family.distribution(np.tile(params, (20, 1)))
    unit = np.eye(DIM) * (2 if name == "laplace" else 1)
    standard = family.standard(DIM), 0, unit
    for distribution, *moments in (member, LOCATION, covariance), standard:
        found = distribution.log_prob(z.astype("float32"))
        np.testing.assert_allclose(found, log_density(name, z, *moments), rtol=1e-5)
    assert (member.batch_shape, member.event_shape) == ((20,), (DIM,))
    np.testing.assert_allclose(member.mean()[0], LOCATION, rtol=1e-6)
    stddev = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(member.stddev()[0], stddev, rtol=1e-5)
    for dim in (1, 4, 20):
        assert family.standard(dim).batch_shape == ()
        assert family.standard(dim).event_shape == (dim,)


@EVERY_FAMILY
def test_samples_have_the_moments_and_streams_are_uncorrelated(name):
    family, params, covariance = FAMILIES[name]
    count, streams = 8000, (LATENTS, POSTERIOR, POSTERIOR + 1)
    sample = tf.function(family.seeded_sample)
    params, seeds = np.tile(params, (count, 1)), tf.range(count)
    drawn = [sample(params, seeds, DIM, tf.constant(stream)) for stream in streams]
    drawn = np.concatenate(drawn, axis=1, dtype="float64")
    location, covariance = np.tile(LOCATION, 3), np.kron(np.eye(3), covariance)
    deviation = np.sqrt(np.diag(covariance))
    standard = (drawn - location) / deviation
    check_means(standard, 0, 1)
    products = standard[:, :, None] * standard[:, None, :]
    correlation = covariance / np.outer(deviation, deviation)
    # The variance of a product. Squares of Laplace's distribution have more.
    variance = 1 + correlation**2 + (3 * np.eye(3 * DIM) if name == "laplace" else 0)
    check_means(products, correlation, np.sqrt(variance))


@EVERY_FAMILY
def test_samples_depend_on_their_own_seed_and_parameters(name):
    family, params, _ = FAMILIES[name]
    seeds = np.array([7, 0, 2**40, 8])
    params = np.stack([params, params + 0.1, params - 0.1, params])
    drawn = np.asarray(family.seeded_sample(params, seeds, DIM, LATENTS))
    for index in range(4):
        one = slice(index, index + 1)
        alone = family.seeded_sample(params[one], seeds[one], DIM, LATENTS)
        np.testing.assert_allclose(alone, drawn[one], rtol=1e-6)
    assert len(np.unique(drawn[:, 0])) == 4
    again = family.seeded_sample(params[::-1], seeds[::-1].copy(), DIM, LATENTS)
    np.testing.assert_allclose(again, drawn[::-1], rtol=1e-6)


def test_get():
    for name in ("diagonal_normal", "full_normal", "laplace"):
        family, *_ = FAMILIES[name]
        assert latents.get(name) == family
        assert latents.get(family) is family
    assert DiagonalNormal() != Laplace()
    variance = DiagonalNormal("log_variance")
    assert variance == DiagonalNormal("log_variance") != DiagonalNormal()
    equal = [DiagonalNormal(), DiagonalNormal(), Laplace(), Laplace()]
    assert len({variance, *equal}) == 3
    assert repr(variance) == "DiagonalNormal(scale='log_variance')"
    for identifier in ("gauss", None, 3, Laplace):
        with pytest.raises(ValueError, match="'full_normal', 'laplace'.*Received"):
            latents.get(identifier)
    with pytest.raises(ValueError, match="'log_variance'. Received: scale='variance'"):
        DiagonalNormal("variance")
