import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.likelihoods import Bernoulli, Categorical

PARAMS = np.random.default_rng(0).normal(0, 2, size=(3, 4, 5, 2)).astype("float32")
LOGITS = np.random.default_rng(1).normal(0, 2, size=(3, 4, 5, 2, 6)).astype("float32")


def softmax(logits):
    p = np.exp(np.asarray(logits, "float64"))
    return p / p.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
def test_log_prob_by_hand(dtype):
    images = np.random.default_rng(2).integers(2, size=PARAMS.shape)
    p = 1 / (1 + np.exp(-PARAMS.astype("float64")))
    expected = np.log(np.where(images == 1, p, 1 - p))
    actual = Bernoulli().log_prob(PARAMS, images.astype(dtype))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    images = np.random.default_rng(2).integers(6, size=PARAMS.shape)
    expected = np.log(np.take_along_axis(softmax(LOGITS), images[..., None], -1))
    actual = Categorical(6).log_prob(LOGITS, images.astype(dtype))
    np.testing.assert_allclose(actual, expected[..., 0], rtol=1e-5)


def test_log_prob_is_float32_from_half_precision():
    images = np.ones((1, 2, 2, 1))
    for likelihood, shape in [
        (Bernoulli(), (1, 2, 2, 1)),
        (Categorical(6), (1, 2, 2, 1, 6)),
    ]:
        params = tf.ones(shape, tf.bfloat16)
        assert likelihood.log_prob(params, images).dtype == tf.float32
        assert likelihood.sample(params, np.zeros((1, 2, 2, 1))).dtype == tf.float32


def test_sample_inverts_the_distribution_function():
    grid = np.linspace(0, 1, 2000, endpoint=False, dtype="float32")
    logits = np.array([0.3, -1.0, 2.0, 0.1], "float32")
    drawn = Categorical(4).sample(np.tile(logits, (2000, 1)), grid).numpy()
    assert (np.diff(drawn) >= 0).all()
    share = np.bincount(drawn.astype(int), minlength=4) / 2000
    np.testing.assert_allclose(share, softmax(logits), atol=1e-3)
    drawn = Bernoulli().sample(np.full(2000, 0.7, "float32"), grid).numpy()
    assert (np.diff(drawn) >= 0).all()
    np.testing.assert_allclose(drawn.mean(), 1 / (1 + np.exp(-0.7)), atol=1e-3)


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


def test_temperature():
    logits = np.log([[0.2, 0.8]]).astype("float32")
    share = softmax(np.log([0.2, 0.8]) / 0.5)[0]
    for u, expected in [(share - 1e-3, 0), (share + 1e-3, 1)]:
        u = np.array([u], "float32")
        assert Categorical(2).sample(logits, u, 0.5)[0] == expected
        assert Bernoulli().sample(logits[:, 1] - logits[:, 0], u, 0.5)[0] == expected


def test_mean():
    np.testing.assert_allclose(
        Bernoulli().mean(PARAMS), 1 / (1 + np.exp(-PARAMS)), rtol=1e-5
    )
    np.testing.assert_allclose(
        Categorical(6).mean(LOGITS), softmax(LOGITS) @ np.arange(6), rtol=1e-5
    )


@pytest.mark.parametrize("num_values", [2, 5, 17, 255, 256])
def test_display_and_back(num_values):
    likelihood = Bernoulli() if num_values == 2 else Categorical(num_values)
    values = np.arange(num_values)
    shown = likelihood.to_display(values)
    assert shown.dtype == np.uint8
    assert (shown[0], shown[-1]) == (0, 255)
    np.testing.assert_array_equal(likelihood.from_display(shown), values)
    as_tensor = likelihood.to_display(tf.constant(values, tf.float32))
    np.testing.assert_array_equal(as_tensor, shown)
    np.testing.assert_array_equal(
        likelihood.from_display(tf.cast(as_tensor, tf.int32)), values
    )
    assert likelihood.from_display(shown).dtype == likelihood.dtype


def test_get():
    assert likelihoods.get("bernoulli") == Bernoulli()
    assert likelihoods.get("categorical") == Categorical(256)
    assert likelihoods.get(Categorical(9)) == Categorical(9) != Categorical(8)
    with pytest.raises(ValueError, match="'bernoulli', 'categorical'.*Received: .*'x'"):
        likelihoods.get("x")


def test_range_checks_accept_what_fits():
    Bernoulli().check_images(np.array([True, False]))
    Bernoulli().check_images(np.array([0.0, 1.0]))
    Categorical(256).check_images(np.arange(256))
    with pytest.raises(ValueError, match="from 0 to 255.*values from 0 to 256"):
        Categorical(256).check_images(np.arange(257))
