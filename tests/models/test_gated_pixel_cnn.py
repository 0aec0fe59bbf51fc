import numpy as np
import pytest

from keras_genimg.causality import dependency_field
from keras_genimg.layers.gated_convs import VerticalGates
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, PixelCNN
from keras_genimg.sampling.program import Level, Program


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
    # If there are columns to the right, plain masks hide the end of the row above.
    assert (field & ~plain)[row - 1, column + 1 :].any() == (column < 10)


def test_the_vertical_stack_is_computed_once_per_row():
    options = {"likelihood": Categorical(5), "num_classes": 2}
    program = Program(GatedPixelCNN((3, 4, 3), 8, 2, **options))
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


def test_the_digits_preset_sees_whole_images():
    model = GatedPixelCNN.from_preset("digits")
    field = dependency_field(model, (7, 7), num_draws=2)
    assert field.sum() == 63
