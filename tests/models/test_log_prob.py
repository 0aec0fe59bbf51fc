"""The log-probability of images: its signature and its bits, in all families."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_genimg as kg
from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, LatentModel
from keras_genimg.ops.uniforms import POSTERIOR
from tests.seldom import slow_but


@pytest.fixture(scope="module")
def models():
    """Return models with large random weights, by name."""
    models = {
        "vae": VAE((28, 28, 1), 5, 100),
        "full_normal": VAE(
            (4, 3, 1), 3, 8, posterior="full_normal", estimator="monte_carlo"
        ),
        "draw": DRAW((5, 7, 1), 3, 6, 4, 3, 2),
    }
    for model in models.values():
        randomize(model, seed=1)
    return models


def images_for(model, count=70):
    generator = np.random.default_rng(0)
    return generator.integers(2, size=(count, *model.image_shape)).astype("uint8")


@pytest.mark.parametrize("method", ["log_prob", "bits_per_dim"])
@pytest.mark.parametrize("name", kg.models.__all__)
def test_all_families_have_one_signature(name, method):
    family = getattr(kg.models, name)
    parameters = inspect.signature(getattr(family, method)).parameters.values()
    found = [(each.name, each.kind, each.default) for each in parameters]
    positional = inspect.Parameter.POSITIONAL_OR_KEYWORD
    keyword, empty = inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.empty
    sampled = [("num_samples", keyword, 100), ("seed", keyword, None)]
    assert found == [
        ("self", positional, empty),
        ("images", positional, empty),
        *(sampled if issubclass(family, LatentModel) else []),
        ("batch_size", keyword, 64),
        ("verbose", keyword, "auto"),
    ]


# `bits_per_dim` scales its numbers, for every model alike.
@pytest.mark.parametrize(
    "kind", slow_but(["vae", "full_normal", "draw"], "full_normal")
)
def test_same_bits_whatever_the_batch_size(models, kind):
    model = models[kind]
    x = images_for(model)
    run = model.log_prob
    expected = run(x, seed=3)
    assert len(np.unique(expected)) > 60
    for batch_size in (1, 3, 64):
        np.testing.assert_array_equal(run(x, seed=3, batch_size=batch_size), expected)
    data = tf.data.Dataset.from_tensor_slices(x).batch(17)
    np.testing.assert_array_equal(run(data, seed=3), expected)
    # Each image has one seed.
    np.testing.assert_array_equal(run(x[41:], seed=3 + 41), expected[41:])


@pytest.mark.parametrize(
    "kind, method", [("full_normal", "log_prob"), ("draw", "bits_per_dim")]
)
def test_a_hundred_samples_and_a_random_seed_by_default(models, kind, method):
    model = models[kind]
    x = images_for(model, 3)
    run = getattr(model, method)
    np.testing.assert_array_equal(run(x, seed=4), run(x, num_samples=100, seed=4))
    assert (run(x, num_samples=99, seed=4) != run(x, seed=4)).any()
    drawn = []
    for _ in range(2):
        keras.utils.set_random_seed(5)
        drawn.append([run(x, num_samples=2), run(x, num_samples=2)])
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[0][1]).any()


@pytest.mark.parametrize("kind", ["full_normal", "draw"])
def test_bound_is_the_mean_of_the_samples_weights(models, kind):
    model = models[kind]
    x = images_for(model, 3)
    seeds = tf.range(9, 12, dtype=tf.int64)
    infer = tf.function(lambda k: model.infer(x)(seeds, POSTERIOR + k), autograph=False)
    samples = [infer(tf.constant(k)) for k in range(250)]
    log_weights = [
        np.asarray(sample.log_likelihood, "float64") + np.asarray(sample.log_ratio)
        for sample in samples
    ]
    for num_samples in (1, 7, 100, 101, 250):
        np.testing.assert_allclose(
            model.log_prob(x, num_samples=num_samples, seed=9),
            np.logaddexp.reduce(log_weights[:num_samples]) - np.log(num_samples),
            rtol=1e-5,
        )


def test_functions_may_run_eagerly(models):
    model = models["full_normal"]
    x, options = images_for(model, 2), {"num_samples": 3, "seed": 0}
    expected = model.log_prob(x, **options), model.elbo(x, **options)
    tf.config.run_functions_eagerly(True)
    try:
        found = model.log_prob(x, **options), model.elbo(x, **options)
    finally:
        tf.config.run_functions_eagerly(False)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_copies_of_an_image_are_independent(models):
    model = models["draw"]
    x = images_for(model, 2)
    seeds = tf.constant([1, 2, 3, 4, 5, 6], tf.int64)
    streams = POSTERIOR + tf.constant([0, 1, 2, 0, 1, 2])
    copies = model.infer(x, copies=3)(seeds, streams)
    for i in range(6):
        image = x[i // 3][None]
        alone = model.infer(image)(seeds[i : i + 1], streams[i])
        for part, expected in zip(copies, alone, strict=True):
            np.testing.assert_allclose(part[i], expected[0], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("num_images", [4, 5, 6])
def test_it_does_not_depend_on_the_number_of_images(num_images):
    """Keras takes a condition of one number for a bias if the batch is as large."""
    images = keras.Input((4, 5, 1), name="images")
    level = keras.Input((1, 1, 1), name="level")
    x = keras.layers.Add()([MaskedConv2D(6, 3, "A")(images), level])
    logits = MaskedConv2D(1, 1, "B")(keras.ops.tanh(x))
    model = AutoregressiveModel([images, level], logits)
    randomize(model, seed=1)
    model.compile("sgd")
    generator = np.random.default_rng(0)
    x = generator.integers(2, size=(num_images, 4, 5, 1))
    levels = generator.normal(size=(num_images, 1, 1, 1)).astype("float32")
    together = model.log_prob([x, levels])
    inputs = {"images": x, "level": levels}
    fixed = tf.data.Dataset.from_tensor_slices(inputs)
    fixed = fixed.batch(num_images, drop_remainder=True)
    alone = [model.log_prob([x[k : k + 1], levels[k : k + 1]]) for k in range(len(x))]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4)
    for data in (fixed, list(inputs.values())):
        loss = model.evaluate(data, batch_size=num_images, verbose=0)[0]
        np.testing.assert_allclose(loss, -np.mean(together), rtol=1e-4)


@pytest.mark.parametrize("num_images, is_known", [(6, False), (7, True), (12, False)])
def test_the_number_of_images_is_hidden_only_from_sizes_like_it(num_images, is_known):
    class Seen(keras.layers.Layer):
        pointwise = True

        def call(self, inputs):
            seen.append(inputs.shape[0])
            return inputs

    images, seen = keras.Input((4, 5, 1)), []
    x = Seen()(MaskedConv2D(6, 3, "A")(images))
    x = keras.ops.concatenate([x, x], axis=-1)[..., :6]  # 12 is no size of a weight.
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))
    model.check_causality = False
    model.compile("sgd")
    model.evaluate(np.zeros((num_images, 4, 5, 1)), batch_size=num_images, verbose=0)
    assert seen[-1] == (num_images if is_known else None)


def test_tensorflow_warns_of_no_trace_when_models_are_compared(caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "handlers", [caplog.handler])
    images = np.zeros((1, 3, 3, 1), "float32")
    for _ in range(6):
        kg.models.PixelCNN((3, 3, 1), units=2, num_blocks=1).log_prob(images)
    assert not caplog.text
