import numpy as np
import pytest

from keras_genimg.ops import causal_kernel_mask, color_groups


def test_groups():
    assert color_groups(3, 3).tolist() == [0, 1, 2]
    assert color_groups(7, 3).tolist() == [0, 0, 0, 1, 1, 2, 2]
    assert color_groups(4, 1).tolist() == [0, 0, 0, 0]


def test_gray_masks_by_hand():
    a = causal_kernel_mask((3, 3), 1, 1, "A", 1)[:, :, 0, 0]
    assert a.tolist() == [[1, 1, 1], [1, 0, 0], [0, 0, 0]]
    b = causal_kernel_mask((3, 3), 1, 1, "B", 1)[:, :, 0, 0]
    assert b.tolist() == [[1, 1, 1], [1, 1, 0], [0, 0, 0]]


@pytest.mark.parametrize("mask_type", ["A", "B"])
def test_gates_have_groups_of_their_own(mask_type):
    mask = causal_kernel_mask((1, 1), 8, 10, mask_type, 3, gates=4)[0, 0]
    assert mask.shape == (8, 40)
    for gate in range(4):
        np.testing.assert_array_equal(mask[:, 10 * gate : 10 * gate + 10], mask[:, :10])
    order = np.arange(3)
    compare = np.less if mask_type == "A" else np.less_equal
    first = mask[:, :10]
    for i, source in enumerate(color_groups(8, 3)):
        for o, target in enumerate(color_groups(10, 3)):
            assert first[i, o] == compare(order[source], order[target])
