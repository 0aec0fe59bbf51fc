"""Arguments of data sets that are refused."""

import pytest

from keras_genimg.datasets import cluttered_digits, load, two_digits

CANVASES = {"canvas_size": [7, (20, 7), "60"], "num_images": [0], "batch_size": [0]}
REFUSED = {
    load: {
        "batch_size": [0],
        "image_size": [0, (8, -1), (8, 8, 1), "8"],
        "crop_size": [0, "54", (9, 9), (8, 9)],
        "random_crop": [True],
        "binarize": ["static"],
        "num_values": [257],
        "seed": [None],
        "color_mode": ["rgba", "rgb"],
        "split": ["trian", ["train"], "train[:9", "train[9]", "test[5:2]", "all[:5]"],
    },
    cluttered_digits: {**CANVASES, "num_clutter": [-1], "clutter_size": [(2, 9), 0]},
    two_digits: CANVASES,
}
TOGETHER = [
    (load, {"crop_size": (6, 6), "image_size": 5}),
    (load, {"binarize": "fixed", "num_values": 2}),
    (load, {"intensities": True, "num_values": 17}),
    (load, {"batch_size": 1498, "drop_remainder": True}),
    (two_digits, {"binarize": "fixed"}),
]


@pytest.mark.parametrize(
    "make, kwargs",
    [
        (make, {name: value})
        for make, arguments in REFUSED.items()
        for name, values in arguments.items()
        for value in values
    ]
    + TOGETHER,
)
def test_error_names_what_was_received(make, kwargs):
    name, value = next(iter(kwargs.items()))
    with pytest.raises(ValueError) as error:
        make("digits", **kwargs)
    assert f"{name}={value!r}" in str(error.value)
