"""All samplers draw the same images, in every family, size and way to run them."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN, PixelRNN
from keras_genimg.models.traced_sampler import pixel_sampler
from keras_genimg.ops import seeded_uniforms
from keras_genimg.sampling import fixed_point, incremental_sampler
from tests.sampling.forced import assert_sampled_as_computed
from tests.subprocesses import run_python

SEEDS = np.arange(16)

FAMILIES = {
    "cnn": lambda shape, units, **k: PixelCNN(shape, units, 2, **k),
    "row": lambda shape, units, **k: PixelRNN(shape, units, 2, "row", **k),
    "diagonal": lambda shape, units, **k: PixelRNN(shape, units, 2, **k),
    "plain": lambda shape, units, **k: PixelRNN(shape, units, 2, residual=False, **k),
}

CASES = [
    ((5, 5, 1), 4, "bernoulli"),
    ((5, 9, 1), 5, Categorical(256)),
    ((4, 4, 3), 8, Categorical(256)),
    ((5, 9, 3), 10, Categorical(256)),
    ((3, 4, 3), 12, Categorical(256)),
]


def make(family, case):
    shape, units, likelihood = case
    model = FAMILIES[family](shape, units, likelihood=likelihood, head_filters=9)
    randomize(model, seed=3)
    return model


def assert_same_but_for_ties(model, expected, actual, seeds=SEEDS):
    """Where images part, the first sub-pixel that differs must be a tie."""
    for image, other, seed in zip(expected, actual, seeds, strict=True):
        differing = np.flatnonzero(image != other)
        if not len(differing):
            continue
        first = differing[0]
        params = np.asarray(model(image[None]), "float64").reshape(image.size, -1)[
            first
        ]
        if params.size == 1:
            params = np.array([0, params[0]])
        steps = np.cumsum(np.exp(params) / np.exp(params).sum())
        u = float(np.ravel(seeded_uniforms([seed], image.shape))[first])
        assert abs(u - steps).min() < 1e-5, f"seed {seed} differs without a tie"


@pytest.mark.parametrize("case", CASES, ids=str)
@pytest.mark.parametrize("family", FAMILIES)
def test_draws_from_the_parameters_of_the_forward_pass(family, case):
    model = make(family, case)
    assert_sampled_as_computed(model)
    if case is {"row": CASES[0], "plain": CASES[0]}.get(family, CASES[3]):
        assert_sampled_as_computed(model, jit_compile=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_methods_agree(family):
    model = make(family, CASES[2])
    expected = model.generate(16, seed=0, method="ancestral")
    assert len(np.unique(expected)) > 1
    for method in ("incremental", "fixed_point"):
        drawn = model.generate(16, seed=0, method=method)
        assert_same_but_for_ties(model, expected, drawn)
    for batch_size in (1, 3):
        drawn = model.generate(10, seed=0, batch_size=batch_size)
        assert_same_but_for_ties(model, expected[:10], drawn, SEEDS[:10])


@pytest.mark.parametrize("family", FAMILIES)
def test_xla_and_eager_agree(family):
    model = make(family, CASES[0])
    expected = model.generate(16, seed=0)
    for method in ("incremental", "fixed_point"):
        drawn = model.generate(16, seed=0, method=method, jit_compile=True)
        assert_same_but_for_ties(model, expected, drawn)
    # Eagerly, as a debugger would step through it.
    eager = pixel_sampler(incremental_sampler(model), model.image_shape)
    drawn = eager(tf.constant(SEEDS[:2]), tf.constant(1.0)).numpy()
    assert_same_but_for_ties(model, expected[:2], drawn, SEEDS[:2])


def test_temperatures_agree():
    model = make("diagonal", CASES[1])
    for temperature in (0.5, 2.0):
        drawn = {
            method: model.generate(8, seed=0, method=method, temperature=temperature)
            for method in ("ancestral", "incremental", "fixed_point")
        }
        for method in ("incremental", "fixed_point"):
            np.testing.assert_array_equal(drawn[method], drawn["ancestral"])


@pytest.mark.parametrize("family", FAMILIES)
def test_conditions_agree(family):
    for options, condition in [
        ({"num_classes": 3}, SEEDS[:6] % 3),
        (
            {"condition_shape": (4, 5, 2)},
            np.random.default_rng(0).normal(size=(6, 4, 5, 2)),
        ),
    ]:
        model = FAMILIES[family]((4, 5, 1), 5, **options)
        assert_sampled_as_computed(model, 6, condition)
        expected = model.generate(6, seed=0, conditions=condition, method="ancestral")
        for method in ("incremental", "fixed_point"):
            drawn = model.generate(6, seed=0, conditions=condition, method=method)
            np.testing.assert_array_equal(drawn, expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_any_size_at_call_time(family):
    model = FAMILIES[family]((None, None, 1), 4)
    for size in [(3, 7), (6, 2), (1, 4), (4, 1)]:
        assert_sampled_as_computed(model, image_size=size)
    drawn = [
        model.generate(4, seed=0, image_size=(3, 7), method=method)
        for method in ("ancestral", "incremental")
    ]
    np.testing.assert_array_equal(drawn[0], drawn[1])


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_draws(policy):
    keras.mixed_precision.set_global_policy(policy)
    for family in ("cnn", "diagonal"):
        model = FAMILIES[family]((4, 5, 3), 6, likelihood=Categorical(4))
        assert_sampled_as_computed(model)
        drawn = model.generate(4, seed=0)
        assert drawn.shape == (4, 4, 5, 3)
        # The same sampler draws the same images, in batches of any size.
        again = model.generate(4, seed=0, batch_size=1, verbose=0)
        np.testing.assert_array_equal(drawn, again)
        # Another rounds otherwise. It agrees at least where nothing was drawn before.
        other = model.generate(4, seed=0, method="ancestral")
        assert (drawn[:, 0, 0, 0] == other[:, 0, 0, 0]).all()


def test_half_precision_is_exported_as_it_draws(tmp_path):
    keras.mixed_precision.set_global_policy("mixed_bfloat16")
    model = FAMILIES["row"]((4, 5, 1), 6, likelihood=Categorical(4))
    model.export(tmp_path / "model", verbose=False)
    loaded = tf.saved_model.load(str(tmp_path / "model"))
    images = loaded.signatures["sample"](seed=tf.constant(SEEDS))["images"]
    expected = model.likelihood.to_display(model.generate(16, seed=0))
    np.testing.assert_array_equal(images, expected)


def test_fixed_point_counts_its_passes():
    model = make("cnn", CASES[0])
    uniforms = seeded_uniforms(SEEDS, model.image_shape)
    images, passes = fixed_point(model, uniforms)
    np.testing.assert_array_equal(images, model.generate(16, seed=0))
    assert 2 <= int(passes) <= 26
    known = np.ones((5, 5, 1), "float32")
    again, passes = fixed_point(model, uniforms, images=images, known=known)
    np.testing.assert_array_equal(again, images)
    assert int(passes) == 1


def test_one_trace_for_all_batches():
    model = make("row", CASES[0])
    for num_images in (1, 3, 7):
        model.generate(num_images, seed=0)
    (sampler,) = model._function_cache.functions(model).values()
    assert sampler.num_traces == 1


def test_exported_in_a_fresh_process(tmp_path):
    models = {family: make(family, CASES[3]) for family in FAMILIES}
    for family, model in models.items():
        model.export(tmp_path / family, verbose=False)
    script = """
import sys
sys.modules["keras"] = sys.modules["keras_genimg"] = None
import numpy as np, tensorflow as tf
folder, *families = sys.argv[1:]
for family in families:
    model = tf.saved_model.load(f"{folder}/{family}")
    seeds = tf.range(16, dtype=tf.int64)
    images = [model.signatures["sample"](seed=seeds)["images"].numpy()]
    for size in (1, 3):
        images.append(model.signatures["sample"](seed=seeds[:size])["images"].numpy())
    np.savez(f"{folder}/{family}.npz", *images)
"""
    run_python("-c", script, tmp_path, *models, PYTHONPATH="")
    for family, model in models.items():
        drawn = np.load(tmp_path / f"{family}.npz")
        expected = model.generate(16, seed=0)
        for images in (drawn["arr_0"], drawn["arr_1"], drawn["arr_2"]):
            size = len(images)
            assert_same_but_for_ties(model, expected[:size], images, SEEDS[:size])
