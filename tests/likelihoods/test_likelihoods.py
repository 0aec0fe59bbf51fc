import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Gaussian,
)
from keras_genimg.models import AutoregressiveModel, PixelCNN, PixelRNN
from tests.conformance.registry import LIKELIHOODS
from tests.reference import logistic

PARAMS = np.random.default_rng(0).normal(0, 2, size=(3, 4, 5, 2)).astype("float32")
LOGITS = np.random.default_rng(1).normal(0, 2, size=(3, 4, 5, 2, 6)).astype("float32")
REAL_BERNOULLI = Bernoulli(intensities=True)
BITS = np.random.default_rng(2).integers(2, size=PARAMS.shape)
LEVELS = np.random.default_rng(2).integers(6, size=PARAMS.shape)
INTENSITIES = np.random.default_rng(3).uniform(size=PARAMS.shape).astype("float32")


def softmax(logits):
    p = np.exp(np.asarray(logits, "float64"))
    return p / p.sum(axis=-1, keepdims=True)


def by_hand(likelihood, params, images):
    """Return log-probabilities and means in float64."""
    params = params.astype("float64")
    if isinstance(likelihood, Categorical):
        p = softmax(params)
        nats = np.log(np.take_along_axis(p, images[..., None], -1))
        return nats[..., 0], p @ np.arange(likelihood.num_values)
    if isinstance(likelihood, Gaussian):
        mean = logistic(params[..., 0])
        stddev = likelihood.min_stddev + np.exp(params[..., 1] / 2)
        nats = -(((images - mean) / stddev) ** 2) / 2 - np.log(stddev)
        return nats - np.log(2 * np.pi) / 2, mean
    p = logistic(params)
    return images * np.log(p) + (1 - images) * np.log(1 - p), p


@pytest.mark.parametrize(
    ("likelihood", "params", "images", "dtypes"),
    [
        (Bernoulli(), PARAMS, BITS, ["uint8", "int32", "float32"]),
        (Categorical(6), LOGITS, LEVELS, ["uint8", "int32", "float32"]),
        *((Gaussian(n), LOGITS[..., :2], INTENSITIES, ["float32"]) for n in (0.0, 0.2)),
        (REAL_BERNOULLI, PARAMS, INTENSITIES, ["float32"]),
    ],
)
def test_log_prob_and_mean_by_hand(likelihood, params, images, dtypes):
    expected, mean = by_hand(likelihood, params, images)
    tolerance = (1e-5, 0) if likelihood.num_values else (1e-4, 1e-6)
    for dtype in dtypes:
        actual = likelihood.log_prob(params, images.astype(dtype))
        np.testing.assert_allclose(actual, expected, *tolerance)
    np.testing.assert_allclose(likelihood.mean(params), mean, rtol=1e-5)


def test_intensities_of_0_and_1_are_those_of_a_coin():
    found, expected = (x.log_prob(PARAMS, BITS) for x in (REAL_BERNOULLI, Bernoulli()))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("make", LIKELIHOODS.values(), ids=LIKELIHOODS)
def test_half_precision_is_computed_in_float32(make):
    likelihood = make()
    size = likelihood.params_shape((2, 2, 3))
    params = np.random.default_rng(0).normal(0, 2, size=(1, *size))
    params = tf.cast(params, tf.bfloat16)
    images = np.ones((1, 2, 2, 3), "float32")
    for method, *others in (
        (likelihood.log_prob, images),
        (likelihood.sample, 0.5 * images),
        (likelihood.mean,),
    ):
        actual = method(params, *others)
        assert actual.dtype == tf.float32
        expected = method(tf.cast(params, tf.float32), *others)
        np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_sample_inverts_the_distribution_function(temperature):
    grid = np.linspace(0, 1, 2000, endpoint=False, dtype="float32")
    logits = np.array([0.3, -1.0, 2.0, 0.1], "float32")
    drawn = Categorical(4).sample(np.tile(logits, (2000, 1)), grid, temperature).numpy()
    assert (np.diff(drawn) >= 0).all()
    share = np.bincount(drawn.astype(int), minlength=4) / 2000
    np.testing.assert_allclose(share, softmax(logits / temperature), atol=1e-3)
    drawn = Bernoulli().sample(np.full(2000, 0.7, "float32"), grid, temperature).numpy()
    assert (np.diff(drawn) >= 0).all()
    np.testing.assert_allclose(drawn.mean(), logistic(0.7 / temperature), atol=1e-3)


def test_gaussian_sample_inverts_the_distribution_function():
    grid = np.arange(1, 2000, dtype="float32") / 2000
    params = np.tile(np.array([0.5, -4.0], "float32"), (len(grid), 1))
    likelihood = Gaussian(min_stddev=0.01)
    drawn = likelihood.sample(params, grid)
    assert (np.diff(drawn) > 0).all()
    back = likelihood.distribution(params).cdf(drawn)
    np.testing.assert_allclose(back, grid, atol=1e-5)
    top = np.nextafter(np.float32(1), np.float32(0))
    ends = likelihood.sample(params[:2], np.array([0, top], "float32"))
    assert np.isfinite(ends).all()
    np.testing.assert_allclose(np.mean(ends), logistic(0.5), atol=0.01)
    # The lowest uniform stands for the middle of its interval.
    lowest = likelihood.distribution(params[0]).cdf(ends[0])
    np.testing.assert_allclose(lowest, 2.0**-25, rtol=0.01)
    # This is 1 in float32, of which the quantile is infinite.
    nearly_one = np.array([1 - 2.0**-30])
    assert likelihood.sample(params[:1], nearly_one)[0] == ends[1]
    # Temperature multiplies the variance.
    mean = likelihood.mean(params)
    for temperature in (0.25, 4, 4.0):
        warm = likelihood.sample(params, grid, temperature)
        expected = temperature**0.5 * (drawn - mean)
        np.testing.assert_allclose(warm - mean, expected, atol=1e-5)


def test_extreme_parameters_stay_in_range():
    top = np.nextafter(np.float32(1), np.float32(0))
    for u in (0.0, top):
        for scale in (-1e4, 1e4):
            assert Bernoulli().sample([scale], [u])[0] == (scale > 0)
        logits = np.full((1, 256), -1e4, "float32")
        logits[0, 77] = 1e4
        assert Categorical(256).sample(logits, np.array([u], "float32"))[0] == 77
    flat = np.zeros((1, 256), "float32")
    assert Categorical(256).sample(flat, np.array([top], "float32"))[0] == 255


@pytest.mark.parametrize(
    "likelihood",
    [Bernoulli(), *map(Categorical, (5, 17, 255, 256)), REAL_BERNOULLI, Gaussian()],
    ids=repr,
)
def test_display_and_back(likelihood):
    values = np.linspace(0, likelihood.max_value, likelihood.num_values or 256)
    shown = likelihood.to_display(values)
    assert shown.dtype == np.uint8
    expected = np.round(255 * values / likelihood.max_value)
    np.testing.assert_array_equal(shown, expected)
    back = likelihood.from_display(shown)
    assert back.dtype == likelihood.dtype
    np.testing.assert_allclose(back, values, rtol=1e-6)
    likelihood.check_images(back)
    as_tensor = likelihood.from_display(tf.constant(shown))
    np.testing.assert_allclose(as_tensor, values, rtol=1e-6)
    np.testing.assert_array_equal(likelihood.to_display(as_tensor), shown)
    # What a Gaussian drew outside of the range.
    outside = np.array([-0.3, 1.7]) * likelihood.max_value
    for drawn in (outside, tf.constant(outside)):
        np.testing.assert_array_equal(likelihood.to_display(drawn), [0, 255])


def test_get():
    assert likelihoods.get("bernoulli") == Bernoulli()
    assert likelihoods.get("categorical") == Categorical(256)
    assert likelihoods.get("gaussian") == Gaussian() != Gaussian(min_stddev=0.1)
    assert likelihoods.get(Categorical(9)) == Categorical(9) != Categorical(8)
    assert REAL_BERNOULLI != Bernoulli()
    layer = keras.saving.serialize_keras_object(keras.layers.ReLU())
    for other in ("x", layer):
        with pytest.raises(ValueError, match="'categorical', 'gaussian'.*Received"):
            likelihoods.get(other)


def test_range_checks_accept_what_fits():
    Bernoulli().check_images(np.array([True, False]))
    Bernoulli().check_images(np.array([0.0, 1.0]))
    Categorical(256).check_images(np.arange(256))
    with pytest.raises(ValueError, match="from 0 to 255.*values from 0 to 256"):
        Categorical(256).check_images(np.arange(257))
    halves = tf.constant([0.5], tf.bfloat16).numpy()
    with pytest.raises(ValueError, match="expects pixels"):
        Bernoulli().check_images(halves)
    for likelihood in (Gaussian(), REAL_BERNOULLI):
        likelihood.check_images(np.array([0.0, 0.3, 1.0]))
        likelihood.check_images(np.array([0, 1], "uint8"))
        likelihood.check_images(np.array([True, False]))
        expected = f"0 to 1, .*{type(likelihood).__name__}.*intensities=True.*Received"
        for images in ([0, 255], [-0.1, 0.5], [0.5, np.nan]):
            with pytest.raises(ValueError, match=expected):
                likelihood.check_images(np.array(images))
        in_range = likelihood.in_range([-0.1, 0.0, 0.5, 1.0, 1.1, np.nan])
        np.testing.assert_array_equal(in_range, [False, True, True, True, False, False])


@pytest.mark.parametrize(
    "kind, name, value",
    [
        (Categorical, "num_values", 1),
        *((DiscretizedLogisticMixture, "num_values", n) for n in (1, 2.5, True)),
        *((DiscretizedLogisticMixture, "num_components", n) for n in (0, "3")),
        *((Gaussian, "min_stddev", n) for n in (-0.1, float("nan"))),
    ],
)
def test_bad_argument_is_refused(kind, name, value):
    text = f"`{name}` of {kind.__name__} must be .*at least .*: {name}={value!r}"
    with pytest.raises(ValueError, match=text):
        kind(**{name: value})


@pytest.mark.parametrize("likelihood", ["gaussian", REAL_BERNOULLI])
def test_autoregressive_models_refuse_real_intensities(likelihood):
    images = keras.Input((3, 3, 1))
    for make in (
        lambda: PixelCNN((3, 3, 1), 3, 1, likelihood=likelihood),
        lambda: PixelRNN((3, 3, 1), 3, 1, likelihood=likelihood),
        lambda: AutoregressiveModel(images, images, likelihood),
    ):
        with pytest.raises(ValueError, match="finitely many pixel values.*Received"):
            make()
