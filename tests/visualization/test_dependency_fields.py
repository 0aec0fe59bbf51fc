import numpy as np
import pytest
from PIL import Image

from keras_genimg.visualization import save_dependency_fields


def test_picture_by_hand(tmp_path):
    path = tmp_path / "fields.png"
    field = np.zeros((3, 4), bool)
    field[0] = True
    save_dependency_fields(path, {"one": field, "two": ~field}, pixel=(1, 2), scale=5)
    with Image.open(path) as read:
        page = np.asarray(read.convert("RGB")).astype(int)
    assert list(tmp_path.iterdir()) == [path]
    red = (page[..., 0] > page[..., 2] + 50).sum()
    blue = (page[..., 2] > page[..., 0] + 50).sum()
    # The pixel once in each panel; 4 pixels, and 8 but for the pixel itself.
    assert red == 2 * 25
    assert blue == (4 + 7) * 25


@pytest.mark.parametrize(
    "fields, text",
    [
        ({}, "`fields` must be a dict"),
        ({"a": np.zeros((2, 2))}, "Field 'a' must be a boolean array"),
        ({"a": np.zeros((1, 2), bool)}, "1 rows and 2 columns"),
    ],
)
def test_bad_arguments_are_refused(fields, text, tmp_path):
    with pytest.raises(ValueError, match=text):
        save_dependency_fields(tmp_path / "a.png", fields, pixel=(1, 1))
    assert not list(tmp_path.iterdir())
