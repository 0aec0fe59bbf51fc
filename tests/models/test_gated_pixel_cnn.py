import keras
import numpy as np
import pytest

from keras_genimg.causality import dependency_field
from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers.gated_convs import VerticalGates
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, PixelCNN
from keras_genimg.sampling.program import Level, Program
from tests.causality.test_report import influences
from tests.seldom import slow_but

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


@pytest.mark.parametrize("case", slow_but(CASES, *CASES[::2]), ids=str)
def test_sees_all_of_the_past_and_nothing_else(case):
    model = make(case)
    seen = influences(model, case[-1], range(6))
    np.testing.assert_array_equal(seen, np.triu(np.ones_like(seen), 1))


@pytest.mark.parametrize("pixel, kernel_size", [((7, 5), 3), ((8, 0), 5), ((3, 10), 3)])
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


def test_conditions_are_seen_by_both_stacks():
    model = make(CASES[0], condition_shape=(5, 5, 2))
    images, condition = np.zeros((2, 5, 5, 1)), np.zeros((2, 5, 5, 2))
    condition[1, 1, 3, 0] = 1
    params = np.asarray(model([images, condition]))
    changed = (params[0] != params[1])[..., 0]
    # At its own pixel and to its right by the horizontal stack; around it by the other.
    assert changed[1:, 1:].all() and not changed[0].any()


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


def test_the_digits_preset_sees_whole_images():
    model = GatedPixelCNN.from_preset("digits")
    field = dependency_field(model, (7, 7), num_draws=2)
    assert field.sum() == 63
