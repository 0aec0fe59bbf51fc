"""Arguments of data sets that are refused."""

import pytest

from keras_genimg.datasets import cluttered_digits, load, two_digits

CANVASES = [
    {"canvas_size": 7},
    {"canvas_size": (20, 7)},
    {"canvas_size": "60"},
    {"num_images": 0},
    {"batch_size": 0},
]
REFUSED = {
    load: [
        {"batch_size": 0},
        {"image_size": 0},
        {"image_size": (8, -1)},
        {"image_size": (8, 8, 1)},
        {"image_size": "8"},
        {"crop_size": 0},
        {"crop_size": "54"},
        {"crop_size": (9, 9)},
        {"crop_size": (8, 9)},
        {"crop_size": (6, 6), "image_size": 5},
        {"random_crop": True},
        {"binarize": "static"},
        {"num_values": 257},
        {"binarize": "fixed", "num_values": 2},
        {"intensities": True, "num_values": 17},
        {"seed": None},
        {"split": "trian"},
        {"split": ["train"]},
        {"split": "train[:9"},
        {"split": "train[9]"},
        {"split": "test[5:2]"},
        {"split": "all[:5]"},
        {"batch_size": 1498, "drop_remainder": True},
    ],
    cluttered_digits: [
        *CANVASES,
        {"num_clutter": -1},
        {"clutter_size": (2, 9)},
        {"clutter_size": 0},
    ],
    two_digits: [*CANVASES, {"binarize": "fixed"}],
}


@pytest.mark.parametrize(
    "make, kwargs", [(make, each) for make in REFUSED for each in REFUSED[make]]
)
def test_error_names_what_was_received(make, kwargs):
    name, value = next(iter(kwargs.items()))
    with pytest.raises(ValueError) as error:
        make("digits", **kwargs)
    assert f"{name}={value!r}" in str(error.value)
