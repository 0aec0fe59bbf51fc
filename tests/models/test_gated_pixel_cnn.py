import keras
import numpy as np
import pytest

from keras_genimg.causality import assert_causal, dependency_field
from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers.gated_kernels import VerticalGates
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, PixelCNN
from keras_genimg.presets import find_preset
from keras_genimg.sampling import METHODS
from keras_genimg.sampling.program import Level, Program
from tests.causality.test_report import influences
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed

# Image shape, units, blocks and values of a sub-pixel. The kernels reach the sides.
CASES = [
    ((5, 5, 1), 4, 3, 2),
    ((3, 6, 1), 5, 4, 7),
    ((4, 3, 2), 5, 2, 4),
    ((3, 4, 3), 8, 2, 5),
]


def make(case, seed=3, **options):
    shape, units, depth, values = case
    likelihood = Categorical(values) if values > 2 else "bernoulli"
    options = {"first_kernel_size": 3, "head_filters": 9} | options
    model = GatedPixelCNN(shape, units, depth, likelihood=likelihood, **options)
    randomize(model, seed)
    return model


@pytest.mark.parametrize("case", CASES, ids=str)
def test_sees_all_of_the_past_and_nothing_else(case):
    shape, _, _, values = case
    model = make(case)
    seen = False
    for seed in range(6):  # With one draw, dead ReLUs can hide an influence.
        randomize(model, seed)
        image = np.random.default_rng(seed).integers(values, size=shape)
        seen = seen | influences(model, image, values)
    np.testing.assert_array_equal(seen, np.triu(np.ones_like(seen), 1))
    report = assert_causal(model, num_images=12, randomize=True, complete=True)
    assert len(report.missing) == 0


@pytest.mark.parametrize("pixel", [(7, 5), (8, 0), (3, 10)])
@pytest.mark.parametrize("kernel_size", [3, 5])
def test_field_is_a_rectangle_where_a_pixel_cnn_has_a_blind_spot(pixel, kernel_size):
    sizes = {"first_kernel_size": 3, "kernel_size": kernel_size}
    row, column = pixel
    rows, columns = np.indices((9, 11))
    reach = 1 + 2 * (kernel_size // 2)
    near = (row - rows <= reach) & (abs(columns - column) <= reach)
    past = (rows < row) | ((rows == row) & (columns < column))
    model = GatedPixelCNN((9, 11, 1), 4, 2, **sizes)
    field = dependency_field(model, pixel)
    np.testing.assert_array_equal(field, near & past)
    plain = dependency_field(PixelCNN((9, 11, 1), 4, 2, **sizes), pixel)
    assert (field | ~plain).all()
    # Where there are columns to the right, plain masks hide the end of the row above.
    assert (field & ~plain)[row - 1, column + 1 :].any() == (column < 10)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_draws_from_the_parameters_of_the_forward_pass(case):
    assert_sampled_as_computed(make(case))


@pytest.mark.slow
def test_xla_draws_from_the_parameters_of_the_forward_pass():
    assert_sampled_as_computed(make(CASES[3]), jit_compile=True)


@pytest.mark.parametrize(
    "case", [pytest.param(CASES[1], marks=pytest.mark.slow), CASES[3]], ids=str
)
def test_methods_agree(case):
    model = make(case)
    drawn = {method: model.generate(8, seed=0, method=method) for method in METHODS}
    for images in drawn.values():
        np.testing.assert_array_equal(images, drawn["ancestral"])
    assert_ancestral(model, drawn["incremental"])
    again = model.generate(8, seed=0, batch_size=3, verbose=0)
    np.testing.assert_array_equal(again, drawn["ancestral"])


@pytest.mark.slow
@pytest.mark.parametrize("method", ["incremental", "fixed_point"])
def test_xla_draws_the_same(method):
    model = make(CASES[1])
    drawn = model.generate(8, seed=0, method=method, jit_compile=True)
    assert_ancestral(model, drawn, slack=TIE)


CONDITIONS = {
    "label": ({"num_classes": 3}, np.arange(6) % 3),
    "vector": (
        {"condition_shape": (1, 1, 2)},
        np.random.default_rng(0).normal(size=(6, 1, 1, 2)),
    ),
    "map": (
        {"condition_shape": (5, 5, 2)},
        np.random.default_rng(0).normal(size=(6, 5, 5, 2)),
    ),
}


@pytest.mark.parametrize("kind", CONDITIONS)
def test_conditional_models_are_sampled(kind):
    options, condition = CONDITIONS[kind]
    model = make(CASES[0], **options)
    assert_sampled_as_computed(model, 6, condition)


@pytest.mark.slow
def test_methods_agree_on_labels():
    options, labels = CONDITIONS["label"]
    model = make(CASES[0], **options)
    for method in METHODS:
        drawn = model.generate(6, seed=0, conditions=labels, method=method)
        assert_ancestral(model, drawn, labels)
    other = model.generate(6, seed=0, conditions=(labels + 1) % 3, verbose=0)
    assert (other != drawn).any()


def test_conditions_are_seen_by_both_stacks():
    model = make(CASES[0], condition_shape=(5, 5, 2))
    images, condition = np.zeros((2, 5, 5, 1)), np.zeros((2, 5, 5, 2))
    condition[1, 1, 3, 0] = 1
    params = np.asarray(model([images, condition]))
    changed = (params[0] != params[1])[..., 0]
    # At its own pixel and to its right by the horizontal stack; around it by the other.
    assert changed[1:, 1:].all() and not changed[0].any()


def test_any_size():
    model = GatedPixelCNN((None, None, 1), 4, 2)
    for size in [(3, 7), (6, 2), (1, 4), (4, 1)]:
        assert_sampled_as_computed(model, image_size=size)
    drawn = model.generate(4, seed=0, image_size=(3, 7))
    assert_ancestral(model, drawn)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_half_precision_is_sampled(policy):
    keras.mixed_precision.set_global_policy(policy)
    assert_sampled_as_computed(make(CASES[3]))


def test_the_vertical_stack_is_computed_once_per_row():
    program = Program(make(CASES[3], num_classes=2))
    levels = {
        index: step.level
        for index, step in enumerate(program.instructions)
        if isinstance(step.operation, VerticalGates)
    }
    assert set(levels.values()) == {Level.ROWS} and len(levels) == 3
    first_kernel = min(levels)
    names = [step.operation.name for step in program.instructions[first_kernel:]]
    below = [step.level < Level.PIXEL for step in program.instructions[first_kernel:]]
    assert all(below[i] for i, name in enumerate(names) if name in ("link", "project"))


def test_completes_and_scores():
    model = make(CASES[3])
    generator = np.random.default_rng(0)
    images = generator.integers(5, size=(6, 3, 4, 3))
    known = generator.integers(2, size=(6, 3, 4))
    completed = [
        model.complete(images, known, seed=3, method=method) for method in METHODS
    ]
    for each in completed:
        np.testing.assert_array_equal(each, completed[0])
        np.testing.assert_array_equal(each[known == 1], images[known == 1])
    logits = np.float64(model(images))
    shifted = logits - logits.max(axis=-1, keepdims=True)
    nats = shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))
    expected = np.take_along_axis(nats, images[..., None], axis=-1).sum((1, 2, 3, 4))
    np.testing.assert_allclose(model.log_prob(images), expected, rtol=1e-5)


@pytest.mark.slow
def test_learns_what_lies_in_the_blind_spot():
    """A pixel copies one that a plain PixelCNN of this size cannot see."""
    generator = np.random.default_rng(0)
    images = np.zeros((256, 2, 5, 1), "uint8")
    images[:, 0, 4] = images[:, 1, 2] = generator.integers(2, size=(256, 1))
    nats = {}
    for family in (GatedPixelCNN, PixelCNN):
        keras.utils.set_random_seed(0)
        model = family((2, 5, 1), 8, 2, first_kernel_size=3)
        model.compile(keras.optimizers.Adam(0.02))
        model.fit(images, epochs=10, batch_size=32, verbose=0)
        nats[family] = -model.log_prob(images).mean()
    # One bit is random, and the plain model cannot tell the other.
    assert nats[GatedPixelCNN] < 0.8 < 1.3 < nats[PixelCNN]


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"image_shape": (4, 4)}, "image_shape.*height, width, colors"),
        ({"units": 0}, r"units.*Received.*0"),
        (
            {"units": 2, "image_shape": (4, 4, 3)},
            "`units` of GatedPixelCNN.*Received.*2",
        ),
        ({"num_blocks": 0}, r"num_blocks.*Received.*0"),
        ({"kernel_size": 4}, r"kernel_size.*Received.*4"),
        ({"first_kernel_size": 1}, r"first_kernel_size.*Received.*1"),
        ({"num_head_layers": -1}, r"num_head_layers.*Received.*-1"),
        ({"num_classes": 3, "condition_shape": (1, 1, 2)}, "not both"),
        ({"num_clases": 3}, "did you mean `num_classes`"),
    ],
)
def test_bad_argument_is_refused(arguments, match):
    good = {"image_shape": (4, 4, 1), "units": 4, "num_blocks": 1}
    with pytest.raises(ValueError, match=f"(?s){match}"):
        GatedPixelCNN(**(good | arguments))


@pytest.mark.parametrize("name", GatedPixelCNN.presets)
def test_presets_compute_at_small_size(name):
    assert find_preset(f"GatedPixelCNN/{name}") == ("GatedPixelCNN", name)
    colors = GatedPixelCNN.presets[name].config["image_shape"][-1]
    model = GatedPixelCNN.from_preset(
        name, image_shape=(4, 5, colors), units=6, head_filters=6, num_blocks=1
    )
    images = np.ones((2, 4, 5, colors), "uint8")
    assert np.isfinite(model.log_prob(images)).all()


def test_the_digits_preset_sees_whole_images():
    model = GatedPixelCNN.from_preset("digits")
    field = dependency_field(model, (7, 7), num_draws=2)
    assert field.sum() == 63
