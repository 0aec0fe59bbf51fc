"""`DiscretizedLogisticMixture`, compared with its definition in float64."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks import likelihood_head
from keras_genimg.saved_model import write_saved_model
from keras_genimg.testing import assert_causal
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed, random_images

SHAPE = (3, 4, 3)
MIXTURE = DiscretizedLogisticMixture(5, 2)
SIZES = {"head_filters": 6, "first_kernel_size": 3, "likelihood": MIXTURE}


def logistic(x):
    return 1 / (1 + np.exp(-np.clip(x, -700, None)))  # Not below 1e-304.


def masses(mean, log_scale, num_values):
    """Return the probability of each value of one logistic, in float64."""
    scale = np.exp(max(log_scale - 1, -7))
    found = []
    for v in range(num_values):
        center = 2 * v / (num_values - 1) - 1
        low = (center - 1 / (num_values - 1) - mean) / scale
        high = (center + 1 / (num_values - 1) - mean) / scale
        if v == 0:
            found.append(logistic(high))
        elif v == num_values - 1:
            found.append(logistic(-low))
        elif low > 0:  # A difference of upper tails, which are small here.
            found.append(logistic(-low) - logistic(-high))
        else:
            found.append(logistic(high) - logistic(low))
    return np.array(found)


def joint(params, pixel, num_values, num_components):
    """Return the probability of the first colors of a pixel, by the definition."""
    params = np.array(params, "float64").reshape(-1, num_components)
    groups = len(params)
    num_colors = next(c for c in range(9) if (c + 1) * (c + 2) == 2 * groups)
    pairs = [(c, d) for c in range(num_colors) for d in range(c)]
    weights = np.exp(params[0]) / np.exp(params[0]).sum()
    total = 0
    for k in range(num_components):
        product = weights[k]
        for c, value in enumerate(pixel):
            mean = params[1 + c, k]
            for d in range(c):
                coefficient = params[1 + 2 * num_colors + pairs.index((c, d)), k]
                scaled = 2 * pixel[d] / (num_values - 1) - 1
                mean += np.tanh(coefficient) * scaled
            log_scale = params[1 + num_colors + c, k]
            product *= masses(mean, log_scale, num_values)[int(value)]
        total += product
    return total


def conditional(params, earlier, likelihood, temperature=1.0):
    """Return the probabilities of the next color, given the earlier ones."""
    sizes = (likelihood.num_values, likelihood.num_components)
    p = [joint(params, [*earlier, v], *sizes) for v in range(likelihood.num_values)]
    p = np.array(p) ** (1 / temperature)
    return p / p.sum()


def random_params(likelihood, shape, spread=1.5, seed=0):
    size = likelihood.params_shape(shape[-3:])
    params = np.random.default_rng(seed).normal(0, spread, (*shape[:-3], *size))
    return params.astype("float32")


def make(model_class=PixelCNN, shape=SHAPE, spread=3, **options):
    keras.utils.set_random_seed(3)
    model = model_class(shape, 3, 1, **{**SIZES, **options})
    # Away from uniform.
    model.set_weights([spread * w for w in model.get_weights()])
    return model


def by_hand():
    keras.utils.set_random_seed(1)
    images = keras.Input(SHAPE)
    x = MaskedConv2D(6, 3, "A")(images)
    x = keras.layers.Activation("tanh")(x)
    model = AutoregressiveModel(images, likelihood_head(x, MIXTURE, 3), MIXTURE)
    model.set_weights([3 * w for w in model.get_weights()])
    return model


@pytest.mark.parametrize("num_colors", [1, 2, 3, 4])
@pytest.mark.parametrize("num_values, num_components", [(2, 3), (3, 1), (7, 4)])
def test_log_prob_by_the_definition(num_colors, num_values, num_components):
    likelihood = DiscretizedLogisticMixture(num_values, num_components)
    shape = (2, 1, 3, num_colors)
    params = random_params(likelihood, shape)
    images = np.random.default_rng(1).integers(num_values, size=shape)
    actual = likelihood.log_prob(params, images.astype("uint8"))
    assert actual.shape == shape[:3] and actual.dtype == tf.float32
    expected = [
        np.log(joint(p, x, num_values, num_components))
        for p, x in zip(
            params.reshape(6, -1), images.reshape(6, num_colors), strict=True
        )
    ]
    np.testing.assert_allclose(np.ravel(actual), expected, rtol=1e-5, atol=1e-5)
    whole = likelihood.log_prob_of_images(params, images)
    np.testing.assert_allclose(whole, np.sum(actual, axis=(1, 2)), rtol=1e-6)


@pytest.mark.parametrize("log_scale", [2.0, 0.0, -2.0, -3.5, -6.0, -20.0])
def test_log_prob_in_the_tails(log_scale):
    """All 256 values of one logistic, most of them far from its mean."""
    likelihood = DiscretizedLogisticMixture(256, 1)
    for mean in (0.0, 0.9, -1.3):
        params = np.tile(np.array([0, mean, log_scale], "float32"), (256, 1))
        actual = likelihood.log_prob(params, np.arange(256)[:, None]).numpy()
        expected = masses(float(params[0, 1]), log_scale, 256)
        # Below 1e-290, float64 cannot hold the reference's differences.
        seen = expected > 1e-290
        assert seen.sum() > 30
        np.testing.assert_allclose(
            actual[seen], np.log(expected[seen]), rtol=2e-5, atol=2e-4
        )
        np.testing.assert_allclose(np.exp(actual.astype("float64")).sum(), 1, rtol=2e-4)


def test_log_prob_is_that_of_tensorflow_probability():
    import tensorflow_probability as tfp

    tfd = tfp.distributions
    likelihood = DiscretizedLogisticMixture(256, 5)
    params = random_params(likelihood, (2, 3, 4, 1), 0.5)
    images = np.random.default_rng(1).integers(256, size=(2, 3, 4, 1))
    logits, means, log_scales = np.split(params.astype("float64"), 3, axis=-1)
    levels = tfd.Logistic(
        127.5 * (means + 1) - 0.5, 127.5 * np.exp(np.maximum(log_scales - 1, -7))
    )
    mixture = tfd.MixtureSameFamily(
        tfd.Categorical(logits=logits),
        tfd.QuantizedDistribution(levels, low=0.0, high=255.0),
    )
    np.testing.assert_allclose(
        likelihood.log_prob(params, images),
        mixture.log_prob(images[..., 0].astype("float64")),
        rtol=1e-5,
    )


def test_edges_have_all_mass_below_and_above():
    for num_values in (2, 3, 256):
        likelihood = DiscretizedLogisticMixture(num_values, 1)
        params = np.array([[0, 0.2, 0.3]], "float32")
        edge = 1 - 1 / (num_values - 1)
        scale = np.exp(0.3 - 1)
        for value, expected in (
            (0, logistic((-edge - 0.2) / scale)),
            (num_values - 1, logistic(-(edge - 0.2) / scale)),
        ):
            actual = np.exp(likelihood.log_prob(params, np.array([[value]])))
            np.testing.assert_allclose(actual, expected, rtol=1e-6)


def test_one_logistic_on_three_values_by_hand():
    # The edges are at -1/2 and 1/2, and the scale is 1.
    likelihood = DiscretizedLogisticMixture(3, 1)
    params = np.tile(np.array([5, 0, 1], "float32"), (3, 1))
    actual = np.exp(likelihood.log_prob(params, np.array([[0], [1], [2]])))
    np.testing.assert_allclose(actual, [0.3775407, 0.2449187, 0.3775407], rtol=1e-6)


EXTREMES = (-1e30, -1e4, -50.0, 0.0, 1e4, 1e30)


def test_finite_at_extremes():
    likelihood = DiscretizedLogisticMixture(256, 2)
    every = np.array(list(itertools.product(EXTREMES, repeat=4)), "float32")
    logit, mean, log_scale, coefficient = every.T
    zero = np.zeros_like(logit)
    params = np.stack(
        [logit, zero, mean, zero, mean, zero, *4 * [log_scale], coefficient, zero], -1
    )
    params = tf.constant(params)
    for red, green in itertools.product((0, 1, 128, 254, 255), repeat=2):
        pixel = tf.constant([[red, green]] * len(every), tf.float32)
        with tf.GradientTape() as tape:
            tape.watch(params)
            log_prob = likelihood.log_prob(params, pixel)
        assert np.isfinite(log_prob).all() and np.max(log_prob) <= 1e-5
        assert np.isfinite(tape.gradient(log_prob, params)).all()
    top = np.nextafter(np.float32(1), np.float32(0))
    for uniform in (0.0, 0.5, top):
        uniforms = np.full((len(every), 2), uniform, "float32")
        for temperature in (1.0, 0.1):
            drawn = likelihood.sample(params, uniforms, temperature)
            likelihood.check_images(drawn.numpy())
    with tf.GradientTape() as tape:
        tape.watch(params)
        mean = likelihood.mean(params)
    assert np.isfinite(tape.gradient(mean, params)).all()
    assert np.min(mean) >= 0 and np.max(mean) <= 255 + 1e-3


@pytest.mark.parametrize("temperature", [1.0, 0.5, 2.0])
def test_sample_inverts_each_exact_conditional(temperature):
    likelihood = DiscretizedLogisticMixture(6, 3)
    num_draws = 2000
    grid = np.linspace(0, 1, num_draws, endpoint=False, dtype="float32")
    for seed in range(3):
        params = random_params(likelihood, (1, 1, 3), seed=seed)[0, 0]
        uniforms = np.tile(np.array([0.7, 0.35, 0.5], "float32"), (num_draws, 1))
        earlier = []
        for color in range(3):
            varied = uniforms.copy()
            varied[:, color] = grid
            drawn = likelihood.sample(
                np.tile(params, (num_draws, 1)), varied, temperature
            ).numpy()
            np.testing.assert_array_equal(
                drawn[:, :color], np.tile(earlier, (num_draws, 1))
            )
            assert (np.diff(drawn[:, color]) >= 0).all()
            found = np.bincount(drawn[:, color].astype(int), minlength=6) / num_draws
            p = conditional(params, earlier, likelihood, temperature)
            np.testing.assert_allclose(found, p, atol=1.01 / num_draws)
            earlier.append(np.searchsorted(np.cumsum(p), uniforms[0, color]))


def test_components_are_reweighted_by_the_colors_drawn():
    """Two components far apart: all colors of a pixel come from the same one."""
    likelihood = DiscretizedLogisticMixture(256, 2)
    params = np.array([[0, 0, *[-0.5, 0.5] * 3, *[-5] * 6, *[0] * 6]], "float32")
    uniforms = np.random.default_rng(0).uniform(size=(200, 3)).astype("float32")
    drawn = likelihood.sample(np.tile(params, (200, 1)), uniforms).numpy()
    high = drawn > 127.5
    assert (high == high[:, :1]).all() and 0.3 < high.mean() < 0.7
    # The uniform decides within the component.
    assert len(np.unique(drawn[:, 1])) > 3


def test_log_prob_at_temperature():
    shape = (2, 1, 2, 3)
    params = random_params(MIXTURE, shape)
    images = np.random.default_rng(1).integers(5, size=shape)
    temperature = np.array([0.5, 2], "float32").reshape(2, 1, 1, 1)
    actual = MIXTURE.log_prob(MIXTURE.at_temperature(params, temperature), images)
    for place in np.ndindex(2, 1, 2):
        pixel = images[place]
        expected = [
            np.log(
                conditional(
                    params[place], pixel[:color], MIXTURE, temperature.flat[place[0]]
                )[pixel[color]]
            )
            for color in range(3)
        ]
        np.testing.assert_allclose(actual[place], np.sum(expected), rtol=1e-4)
    np.testing.assert_allclose(
        MIXTURE.log_prob(MIXTURE.at_temperature(params, 1), images),
        MIXTURE.log_prob(params, images),
        rtol=1e-4,
        atol=1e-5,
    )


@pytest.mark.parametrize("num_colors", [1, 3])
def test_mean(num_colors):
    likelihood = DiscretizedLogisticMixture(5, 2)
    every = np.array(list(itertools.product(range(5), repeat=num_colors)))
    params = random_params(likelihood, (1, 1, 1, num_colors), 0.7)

    def expected(params):
        p = [joint(params[0, 0, 0], x, 5, 2) for x in every]
        return np.array(p) @ every

    actual = likelihood.mean(params)[0, 0, 0]
    np.testing.assert_allclose(actual[0], expected(params)[0], rtol=1e-5)
    # Later colors lose the effect of the edges, at most.
    np.testing.assert_allclose(actual, expected(params), atol=0.1)
    # Without coefficients, all colors are exact.
    params[..., 2 * (1 + 2 * num_colors) :] = 0
    np.testing.assert_allclose(
        likelihood.mean(params)[0, 0, 0], expected(params), rtol=1e-5
    )


def test_float32_from_half_precision():
    params = tf.cast(random_params(MIXTURE, (1, 2, 2, 3)), tf.bfloat16)
    images = np.ones((1, 2, 2, 3))
    exact = tf.cast(params, tf.float32)
    for actual, expected in (
        (MIXTURE.log_prob(params, images), MIXTURE.log_prob(exact, images)),
        (MIXTURE.sample(params, 0.5 * images), MIXTURE.sample(exact, 0.5 * images)),
        (MIXTURE.mean(params), MIXTURE.mean(exact)),
    ):
        assert actual.dtype == tf.float32
        np.testing.assert_array_equal(actual, expected)


def test_config_and_name():
    likelihood = likelihoods.get("logistic_mixture")
    assert likelihood == DiscretizedLogisticMixture(256, num_components=10)
    assert likelihood.params_shape((8, None, 3)) == (8, None, 100)
    assert likelihood.params_shape((8, 9, 1)) == (8, 9, 30)
    assert likelihood.dtype == np.uint8 and likelihood.max_value == 255
    config = keras.saving.serialize_keras_object(MIXTURE)
    assert likelihoods.get(config) == MIXTURE != likelihood
    assert repr(MIXTURE) == "DiscretizedLogisticMixture(num_values=5, num_components=2)"


@pytest.mark.parametrize(
    "arguments, expected",
    [
        ({"num_values": 1}, "`num_values` of DiscretizedLogisticMixture.*at least 2"),
        ({"num_values": 2.5}, "Received: num_values=2.5"),
        ({"num_values": True}, "Received: num_values=True"),
        ({"num_components": 0}, "`num_components` of Disc.*Received: num_components=0"),
        ({"num_components": "3"}, "must be an integer.*num_components='3'"),
    ],
)
def test_refuses(arguments, expected):
    with pytest.raises(ValueError, match=expected):
        DiscretizedLogisticMixture(**arguments)


def test_refuses_parameters_of_other_images():
    params = np.zeros((1, 2, 2, 20), "float32")
    pixels = np.zeros((1, 2, 2, 1), "float32")
    expected = r"expects 6 parameters .* 1 colors.*likelihood_head.*Received: .*20\)"
    for method in (MIXTURE.log_prob, MIXTURE.sample):
        with pytest.raises(ValueError, match=expected):
            method(params, pixels)
    for method in (MIXTURE.mean, lambda params: MIXTURE.at_temperature(params, 1)):
        with pytest.raises(ValueError, match="expects 20 parameters.*Received.*19"):
            method(params[..., :19])


@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_values, shape", [(3, (1, 2, 3)), (4, (2, 3, 1))])
def test_probabilities_of_all_images_sum_to_1(model_class, num_values, shape):
    likelihood = DiscretizedLogisticMixture(num_values, 2)
    model = make(model_class, shape, likelihood=likelihood)
    size = int(np.prod(shape))
    every = np.array(list(itertools.product(range(num_values), repeat=size)), "uint8")
    nats = model.log_prob(every.reshape(-1, *shape), batch_size=1024)
    nats = nats.astype("float64")
    np.testing.assert_allclose(np.exp(nats).sum(), 1, rtol=1e-5)
    assert nats.std() > 0.3


@pytest.mark.slow
@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_colors", [1, 2, 3])
def test_draws_from_the_parameters_of_the_forward_pass(model_class, num_colors):
    model = make(model_class, (3, 4, num_colors))
    assert_sampled_as_computed(model, 5)
    drawn = model.generate(5, seed=0)
    assert drawn.dtype == np.uint8 and len(np.unique(drawn)) > 3
    assert_ancestral(model, drawn, slack=TIE)
    assert_causal(model, randomize=True)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {"method": "incremental"},
        {"method": "ancestral"},
        {"method": "fixed_point"},
        {"method": "incremental", "jit_compile": True},
        {"method": "fixed_point", "jit_compile": True},
    ],
    ids=str,
)
def test_samplers_draw_the_same_images(options):
    model = by_hand()
    for temperature in (1.0, 0.5):
        drawn = model.generate(5, seed=0, temperature=temperature, **options)
        expected = model.generate(5, seed=0, temperature=temperature)
        np.testing.assert_array_equal(drawn, expected)
        assert_ancestral(model, drawn, temperature=temperature, slack=TIE)


def test_one_evaluation_a_pixel(monkeypatch):
    calls = []
    sample = DiscretizedLogisticMixture.sample

    def counted(self, params, uniforms, temperature=1.0):
        calls.append((params.shape[1:], uniforms.shape[1:]))
        return sample(self, params, uniforms, temperature)

    monkeypatch.setattr(DiscretizedLogisticMixture, "sample", counted)
    model = make(PixelRNN)
    model.generate(1, seed=0)
    assert calls == [((20,), (3,))]
    assert model._drawing_note("ancestral", None) == "12 forward passes per batch"


@pytest.mark.slow
@pytest.mark.parametrize(
    "model_class, shape, dtype",
    [
        (PixelCNN, SHAPE, None),
        (PixelRNN, (3, 4, 1), None),
        (PixelCNN, SHAPE, "mixed_bfloat16"),
        (PixelCNN, SHAPE, "mixed_float16"),
    ],
)
def test_trains_and_loads(model_class, shape, dtype, tmp_path):
    model = make(model_class, shape, spread=1, dtype=dtype)
    images = random_images(model, 6).numpy()
    model.compile(keras.optimizers.Adam(0.01), run_eagerly=True)
    history = model.fit(images, batch_size=3, epochs=4, verbose=0).history
    assert history["loss"][-1] < history["loss"][0]
    assert model(images).dtype == "float32"
    nats, bits = model.evaluate(images, verbose=0)
    log_prob = model.log_prob(images)
    # Half precision rounds differently in graphs.
    rtol = 1e-5 if dtype is None else 1e-3
    np.testing.assert_allclose(nats, -log_prob.mean(), rtol=rtol)
    np.testing.assert_allclose(bits, nats / np.prod(shape) / np.log(2), rtol=1e-5)
    model.save(tmp_path / "model.keras")
    revived = keras.models.load_model(tmp_path / "model.keras")
    assert revived.likelihood == model.likelihood
    np.testing.assert_array_equal(revived.log_prob(images), log_prob)
    np.testing.assert_array_equal(
        revived.generate(2, seed=1), model.generate(2, seed=1)
    )


@pytest.mark.parametrize("model_class", [PixelCNN, PixelRNN])
@pytest.mark.parametrize("num_colors", [1, 3])
def test_untrained_models_are_about_uniform(model_class, num_colors):
    shape = (12, 12, num_colors)
    x = np.random.default_rng(0).integers(256, size=(8, *shape)).astype("uint8")
    model = model_class(shape, 8, 2, likelihood="logistic_mixture")
    nats = -model.log_prob(x).mean()
    assert abs(nats / (np.prod(shape) * np.log(256)) - 1) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_completes(temperature):
    model = by_hand()
    images = model.generate(4, seed=50)
    known = np.zeros((3, 4))
    known[0], known[2, 1:] = 1, 1
    options = {"seed": 9, "num_candidates": 3, "temperature": temperature}
    completed = model.complete(images, known, **options)
    np.testing.assert_array_equal(completed[:, known > 0], images[:, known > 0])
    assert (completed != images).any()
    for method in ("ancestral", "fixed_point"):
        again = model.complete(images, known, method=method, **options)
        np.testing.assert_array_equal(again, completed)
    sizes = model.effective_sample_size(images, known, **options)
    assert ((sizes >= 1) & (sizes <= 3)).all() and (sizes < 2.99).any()


@pytest.mark.slow
def test_export_draws_and_checks_the_same(tmp_path):
    model = by_hand()
    endpoints = model.endpoints(SHAPE, num_candidates=2)
    names = ("sample", "log_prob", "check_sampler", "complete")
    endpoints = {name: endpoints[name] for name in names}
    write_saved_model(model, tmp_path / "1", endpoints, max_examples=8, verbose=False)
    served = tf.saved_model.load(tmp_path / "1").signatures
    drawn = model.generate(2, seed=4)
    images = model.likelihood.to_display(drawn)
    seed = tf.constant([4, 5], tf.int64)
    np.testing.assert_array_equal(served["sample"](seed=seed)["images"], images)
    shown = tf.constant(images, tf.int32)
    nats = served["log_prob"](images=shown)["log_prob"]
    np.testing.assert_allclose(nats, model.log_prob(drawn), rtol=1e-5)
    difference = served["check_sampler"](images=shown)["largest_difference"]
    assert np.max(difference) < 1e-4
    known = np.zeros((2, 3, 4), "int32")
    known[:, 1] = 1
    completed = served["complete"](images=shown, known=tf.constant(known), seed=seed)
    expected = model.complete(drawn, known, seed=4, num_candidates=2)
    np.testing.assert_array_equal(
        completed["images"], model.likelihood.to_display(expected)
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "make_model",
    [
        lambda: VAE(SHAPE, 2, 6, MIXTURE),
        lambda: DRAW(SHAPE, 2, 6, 3, 2, 2, likelihood=MIXTURE),
    ],
    ids=["vae", "draw"],
)
def test_latent_models(make_model):
    model = make_model()
    model.compile("adam", run_eagerly=True)
    images = np.random.default_rng(0).integers(5, size=(4, *SHAPE)).astype("uint8")
    model.fit(images, verbose=0)
    assert model(images).shape == (4, 3, 4, 20)
    assert np.isfinite(model.log_prob(images, num_samples=2, seed=0)).all()
    mean = model.generate(2, seed=0)
    assert mean.shape == (2, *SHAPE)
    assert ((mean > 0) & (mean < 4)).all()
    pixels = model.generate(2, seed=0, sample_pixels=True)
    assert pixels.shape == (2, *SHAPE) and pixels.dtype == np.uint8
