"""All samplers draw the same images, in every family, size and way to run them."""

import itertools
import sys
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import AutoregressiveModel, GatedPixelCNN, PixelCNN, PixelRNN
from keras_genimg.ops import seeded_uniforms
from keras_genimg.sampling import METHODS, fixed_point_sampler
from tests.fuzz.own_layers import Sums
from tests.sampling.drawn import (
    TIE,
    assert_ancestral,
    assert_served_as_drawn,
    draw_one_by_one,
)
from tests.sampling.forced import assert_sampled_as_computed
from tests.seldom import slow_but

SEEDS = np.arange(16)

FAMILIES = {
    "cnn": PixelCNN,
    "gated": partial(GatedPixelCNN, first_kernel_size=3),
    "row": partial(PixelRNN, layer="row"),
    "diagonal": PixelRNN,
    "plain": partial(PixelRNN, residual=False),
    "whole_row": partial(PixelRNN, layer="row", whole_rows=True),
    "whole_diagonal": partial(PixelRNN, whole_rows=True),
}

KINDS = ("cnn", "gated", "row", "diagonal")

# Image shape, units, depth and likelihood. Five rows are more than a 7x7 kernel sees.
BINARY = ((5, 5, 1), 4, 1, "bernoulli")
GRAY = ((5, 9, 1), 5, 2, Categorical(256))
TALL = ((5, 2, 3), 10, 2, Categorical(256))
WIDE = ((2, 4, 3), 12, 1, Categorical(256))
RGB = ((3, 3, 3), 8, 1, Categorical(256))
FEW = ((2, 3, 3), 6, 1, Categorical(5))
FEW_GRAY = ((2, 3, 1), 4, 1, Categorical(4))
SMALL = ((3, 4, 1), 5, 1, "bernoulli")


def make(family, case, **options):
    *arguments, likelihood = case
    options = {"likelihood": likelihood, "head_filters": 9, **options}
    model = FAMILIES[family](*arguments, **options)
    model.check_causality = False  # This saves a check.
    # With seed 3, all images of a small gated network are white.
    randomize(model, seed=5 if family == "gated" else 3)
    return model


EVERY = [*itertools.product(KINDS, (BINARY, GRAY, TALL, WIDE))]
OTHERS = [("plain", GRAY), ("whole_row", WIDE), ("whole_diagonal", WIDE)]
WITH_XLA = [("cnn", RGB), ("gated", RGB), ("row", RGB), ("diagonal", BINARY)]


@pytest.mark.parametrize("each", [*slow_but(EVERY, *EVERY[::2]), *OTHERS], ids=str)
def test_draws_from_the_parameters_of_the_forward_pass(each):
    assert_sampled_as_computed(make(*each))


@pytest.mark.slow
@pytest.mark.parametrize("each", WITH_XLA, ids=str)
def test_xla_draws_from_the_parameters_of_the_forward_pass(each):
    assert_sampled_as_computed(make(*each), jit_compile=True)


@pytest.mark.parametrize(
    "family, case, jit_compile",
    [
        ("cnn", SMALL, False),
        ("cnn", FEW, False),
        ("cnn", FEW_GRAY, True),
        pytest.param("diagonal", FEW_GRAY, True, marks=pytest.mark.slow),
    ],
)
def test_the_ancestral_sampler_draws_what_numpy_draws(family, case, jit_compile):
    model, seeds = make(family, case), np.array([0, 11, 2**40 + 5])
    model.set_weights([0.7 * w for w in model.get_weights()])  # Less alike images.
    uniforms = seeded_uniforms(seeds, model.image_shape)
    options = {"seed": seeds, "method": "ancestral", "jit_compile": jit_compile}
    for temperature in (1.0, 0.3):
        drawn = model.generate(3, temperature=temperature, **options)
        expected = draw_one_by_one(model, uniforms, temperature)
        np.testing.assert_array_equal(drawn, expected)
        assert len(np.unique(drawn)) > 1
        assert (drawn[0] != drawn[1]).any()


def test_seed_none_follows_the_global_seed():
    model = make("cnn", BINARY)
    keras.utils.set_random_seed(1)
    first, second = model.generate(3), model.generate(3)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(model.generate(3), first)
    assert (first != second).any()


def test_images_are_drawn_eagerly():
    """A debugger steps through the eager sampler."""
    model = make("row", RGB)
    key = SamplerKey("incremental", model.image_shape, False, "any")
    given = tf.constant(SEEDS[:2]), tf.constant(1.0)
    drawn = model._samplers.scheme.generate(key, *given).numpy()
    assert_ancestral(model, drawn, slack=TIE)


# Temperatures. Ancestral images are compared with those of NumPy above.


# `test_check.py` in tests/causality has ancestral images with conditions, and a map.
CALLS = [("cnn", "fixed_point"), *((kind, "incremental") for kind in KINDS)]


@pytest.mark.parametrize("call", slow_but(CALLS, *CALLS[:2]), ids=str)
def test_images_are_those_of_the_ancestral_sampler_in_any_batch(call):
    family, method = call
    model, labels = make(family, RGB, num_classes=3), SEEDS % 3
    options = {"seed": 0, "conditions": labels, "method": method}
    for batch_size, options["temperature"] in ((1, 1.0), (3, 0.5), (16, 2.0)):
        drawn = model.generate(16, batch_size=batch_size, **options)
        assert_ancestral(model, drawn, labels, options["temperature"], slack=TIE)


TINY = [1e-30, 1e-37, 1e-38, 1e-40, 1e-50, sys.float_info.min]
MIXTURE = DiscretizedLogisticMixture(5, 2)


@pytest.mark.parametrize(
    "likelihood, scale",
    [
        (Categorical(5), 1),
        ("bernoulli", 0),  # A coin at every temperature.
        pytest.param(MIXTURE, 1, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_likeliest_pixels_are_drawn_at_the_smallest_temperatures(likelihood, scale):
    """Logits divided by less than 1e-37 overflowed, and the image was black."""
    model = make("cnn", ((3, 3, 1), 3, 1, likelihood))
    model.set_weights([scale * weight for weight in model.get_weights()])
    options = {"seed": 1, "method": "fixed_point"}
    images = model.generate(4, temperature=1e-6, **options)
    assert images.any()
    known = np.eye(3)
    for options["temperature"] in TINY:
        np.testing.assert_array_equal(model.generate(4, **options), images)
        for candidates in (1, 2) if scale else (1,):
            completed, sizes = model.complete(
                images,
                known,
                num_candidates=candidates,
                return_effective_sample_size=True,
                **options,
            )
            np.testing.assert_array_equal(completed, images)
        assert ((sizes >= 1) & (sizes <= 2)).all()


def test_maps_of_temperatures():
    """For nine images of nine pixels, they were taken for one number an image."""
    model = make("cnn", ((3, 3, 1), 3, 1, Categorical(9)))
    uniforms = seeded_uniforms(np.arange(9), model.image_shape)
    temperature = tf.constant(np.linspace(0.1, 9, 9), tf.float32, (1, 3, 3, 1))

    def drawn(method):
        draw = tf.function(METHODS[method](model), autograph=False)
        return draw(uniforms, temperature, [])

    np.testing.assert_array_equal(drawn("incremental"), drawn("ancestral"))


# Conditions and sizes.

CONDITIONS = {
    "label": ({"num_classes": 3}, SEEDS[:6] % 3),
    "map": (
        {"condition_shape": (3, 4, 2)},
        np.random.default_rng(0).normal(size=(6, 3, 4, 2)),
    ),
}


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("family", KINDS)
def test_conditional_models_draw_from_the_parameters_of_the_forward_pass(family, kind):
    options, condition = CONDITIONS[kind]
    assert_sampled_as_computed(make(family, SMALL, **options), 6, condition)


@pytest.mark.parametrize("family", KINDS)
def test_any_size_draws_from_the_parameters_of_the_forward_pass(family):
    model = FAMILIES[family]((None, None, 1), 4, 1)
    for size in [(3, 7), (6, 2), (1, 4), (4, 1)]:
        assert_sampled_as_computed(model, image_size=size)


@pytest.mark.parametrize(
    "family, method", [("cnn", "ancestral"), ("diagonal", "incremental")]
)
def test_any_size_agrees(family, method):
    model = FAMILIES[family]((None, None, 1), 4, 1)
    drawn = model.generate(4, seed=0, image_size=(3, 7), method=method)
    assert_ancestral(model, drawn)


def half_precision_model(family, policy):
    keras.mixed_precision.set_global_policy(policy)
    return FAMILIES[family]((3, 4, 3), 6, 1, likelihood=Categorical(4))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("family", slow_but(["cnn", "gated", "diagonal"], "diagonal"))
def test_half_precision_draws_from_the_parameters_of_the_forward_pass(family, policy):
    assert_sampled_as_computed(half_precision_model(family, policy))


@pytest.mark.parametrize(
    "family, policy", [("cnn", "mixed_float16"), ("diagonal", "mixed_bfloat16")]
)
@pytest.mark.slow
def test_half_precision_draws(family, policy):
    model = half_precision_model(family, policy)
    drawn = model.generate(4, seed=0)
    assert drawn.shape == (4, 3, 4, 3)
    # The same sampler draws the same images, in batches of any size.
    again = model.generate(4, seed=0, batch_size=1, verbose=0)
    np.testing.assert_array_equal(drawn, again)
    # Another rounds otherwise. It agrees at least where nothing was drawn before.
    other = model.generate(4, seed=0, method="ancestral")
    assert (drawn[:, 0, 0, 0] == other[:, 0, 0, 0]).all()


def test_fixed_point_takes_few_passes(monkeypatch):
    model, passes = make("cnn", BINARY), []
    sample = model.likelihood.sample

    def counted(*arguments):
        passes.append(arguments)
        return sample(*arguments)

    monkeypatch.setattr(model.likelihood, "sample", counted)
    draw = fixed_point_sampler(model)  # Eagerly.
    uniforms = seeded_uniforms(SEEDS, model.image_shape)
    images = draw(uniforms, 1.0, [])
    assert 2 <= len(passes) <= 26
    passes.clear()
    again = draw(uniforms, 1.0, [], images, np.ones((5, 5, 1), "float32"))
    np.testing.assert_array_equal(again, images)
    assert len(passes) == 1
    np.testing.assert_array_equal(images, model.generate(16, seed=0))


def test_a_model_names_its_own_sampler(tmp_path):
    images = keras.Input((3, 4, 1))
    x = MaskedConv2D(4, 3, "A")(images)
    logits = MaskedConv2D(1, 1, "B", dtype="float32")(x + Sums()(x))
    model = AutoregressiveModel(images, logits, sampling_method="fixed_point")
    randomize(model, seed=3)
    drawn = model.generate(16, seed=0)
    assert_ancestral(model, drawn)
    known = np.eye(3, 4)
    np.testing.assert_array_equal(
        model.complete(drawn, known, seed=np.arange(16)), drawn
    )
    with pytest.raises(ValueError, match="Sums"):
        model.generate(method="incremental")
    again = AutoregressiveModel.from_config(model.get_config())
    assert again.sampling_method == "fixed_point"
    with pytest.raises(ValueError, match="Sums"):
        model.export(tmp_path / "1", method="incremental")
    assert_served_as_drawn(model, tmp_path / "1")
    model, path = AutoregressiveModel(images, logits), str(tmp_path / "2")
    with pytest.raises(ValueError, match="Sums"):
        model.export(path)
    model.export(path, method="fixed_point", verbose=False)
    sample = tf.saved_model.load(path).signatures["sample"]
    served = sample(seed=tf.range(16, dtype=tf.int64))["images"]
    np.testing.assert_array_equal(served, model.likelihood.to_display(drawn))
    family = PixelCNN((3, 4, 1), 2, 1, sampling_method="ancestral")
    assert PixelCNN.from_config(family.get_config()).sampling_method == "ancestral"
    with pytest.raises(ValueError, match="'fastest'"):
        AutoregressiveModel(images, logits, sampling_method="fastest")
