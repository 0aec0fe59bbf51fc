"""All samplers draw the same images, in every family, size and way to run them."""

import itertools
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.drawing.drawer import TracedSampler
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import AutoregressiveModel, GatedPixelCNN, PixelCNN, PixelRNN
from keras_genimg.ops import seeded_uniforms
from keras_genimg.sampling import fixed_point_sampler
from tests.fuzz.own_layers import Sums
from tests.sampling.drawn import TIE, assert_ancestral, assert_served_as_drawn
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


def make(family, case):
    shape, units, depth, likelihood = case
    model = FAMILIES[family](shape, units, depth, likelihood=likelihood, head_filters=9)
    model.check_causality = False  # To save a proof.
    # With seed 3, all images of a small gated network are white.
    randomize(model, seed=5 if family == "gated" else 3)
    return model


EVERY = [*itertools.product(KINDS, (BINARY, GRAY, TALL, WIDE))]
OTHERS = [("plain", GRAY), ("whole_row", WIDE), ("whole_diagonal", WIDE)]


@pytest.mark.parametrize("each", [*slow_but(EVERY, *EVERY[::2]), *OTHERS], ids=str)
def test_draws_from_the_parameters_of_the_forward_pass(each):
    assert_sampled_as_computed(make(*each))


@pytest.mark.slow
@pytest.mark.parametrize(
    "family, case",
    [("cnn", RGB), ("gated", RGB), ("row", RGB), ("diagonal", BINARY)],
    ids=str,
)
def test_xla_draws_from_the_parameters_of_the_forward_pass(family, case):
    assert_sampled_as_computed(make(family, case), jit_compile=True)


@pytest.mark.parametrize("family", slow_but(KINDS, "cnn", "diagonal"))
def test_images_are_those_of_the_ancestral_sampler_in_any_batch(family):
    model = make(family, RGB)
    for batch_size in (1, 3, 16):
        drawn = model.generate(16, seed=0, batch_size=batch_size)
        assert_ancestral(model, drawn, slack=TIE)


def test_methods_agree():
    model = make("row", RGB)
    assert_ancestral(model, model.generate(16, seed=0, method="fixed_point"), slack=TIE)
    # Eagerly, as a debugger would step through it.
    eager = model._drawer.from_seeds("incremental", model.image_shape)
    drawn = eager(tf.constant(SEEDS[:2]), tf.constant(1.0)).numpy()
    assert_ancestral(model, drawn, slack=TIE)


# `test_ancestral.py` has the third method.
@pytest.mark.parametrize("method", ["incremental", "fixed_point"])
def test_temperatures(method):
    model = make("cnn", RGB)
    for temperature in (0.5, 2.0):
        drawn = model.generate(8, seed=0, method=method, temperature=temperature)
        assert_ancestral(model, drawn, temperature=temperature)


CONDITIONS = {
    "label": ({"num_classes": 3}, SEEDS[:6] % 3),
    "map": (
        {"condition_shape": (3, 4, 2)},
        np.random.default_rng(0).normal(size=(6, 3, 4, 2)),
    ),
}


def make_conditional(family, kind):
    options, condition = CONDITIONS[kind]
    model = FAMILIES[family]((3, 4, 1), 5, 1, **options)
    model.check_causality = False
    randomize(model, seed=3)
    return model, condition


@pytest.mark.parametrize("kind", CONDITIONS)
@pytest.mark.parametrize("family", KINDS)
def test_conditional_models_draw_from_the_parameters_of_the_forward_pass(family, kind):
    model, condition = make_conditional(family, kind)
    assert_sampled_as_computed(model, 6, condition)


# `test_check.py` in tests/causality has the third method, and a map.
@pytest.mark.parametrize("method", ["incremental", "fixed_point"])
def test_conditions_agree(method):
    model, condition = make_conditional("cnn", "label")
    drawn = model.generate(6, seed=0, conditions=condition, method=method)
    assert_ancestral(model, drawn, condition)


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
    with pytest.raises(ValueError, match="Sums"):
        model.export(tmp_path / "1", method="incremental")
    assert_served_as_drawn(model, tmp_path / "1")
    again = AutoregressiveModel.from_config(model.get_config())
    assert again.sampling_method == "fixed_point"
    family = PixelCNN((3, 4, 1), 2, 1, sampling_method="ancestral")
    assert PixelCNN.from_config(family.get_config()).sampling_method == "ancestral"
    with pytest.raises(ValueError, match="'fastest'"):
        AutoregressiveModel(images, logits, sampling_method="fastest")


def test_one_trace_for_single_images_and_one_for_all_batches():
    model = make("cnn", BINARY)
    for num_images in (1, 2, 3, 7):
        model.generate(num_images, seed=0)
    functions = model._function_cache.functions.values()
    samplers = [f for f in functions if isinstance(f, TracedSampler)]
    counts = [f._function.experimental_get_tracing_count() for f in samplers]
    assert counts == [1, 1]
