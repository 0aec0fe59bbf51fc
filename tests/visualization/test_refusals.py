"""Arguments that are refused, and libraries that are missing: no file is written."""

import sys

import numpy as np
import pytest

from keras_genimg.visualization import (
    attention_box,
    image_grid,
    save_canvases,
    save_comparison,
    save_dependency_fields,
    save_grid,
    save_kl_per_step,
)

IMAGES = np.zeros((2, 4, 5, 1), "uint8")
CANVASES = np.zeros((2, 3, 4, 5, 1), "uint8")
ATTENTION = np.zeros((2, 3, 5), "float32")
GOOD = {
    attention_box: {"attention": [0, 0, 1, 1, 1], "size": 3},
    image_grid: {"images": IMAGES},
    save_canvases: {"path": "a.gif", "canvases": CANVASES},
    save_comparison: {"path": "a.png", "panels": {"a": IMAGES}},
    save_dependency_fields: {"path": "a.png", "pixel": (1, 1)},
    save_grid: {"path": "a.png", "images": IMAGES},
    save_kl_per_step: {"path": "a.png", "kl": [[1.0]]},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Folder of all files, which must stay empty."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "function, arguments, text",
    [
        (attention_box, {"attention": np.zeros((2, 4))}, r"5 numbers.*=\(2, 4\)"),
        (attention_box, {"attention": np.float32(1)}, r"5 numbers.*shape=\(\)"),
        (attention_box, {"attention": [0, 0, np.nan, 1, 1]}, "finite.*nan"),
        (attention_box, {"attention": [0, 0, 1, np.inf, 1]}, "finite.*inf"),
        (attention_box, {"size": 0}, "size=0"),
        (attention_box, {"size": 2.0}, "size=2.0"),
        *(
            (image_grid, {"images": x}, rf"shape=\({len(x)}, .*dtype={x.dtype}")
            for x in [
                *(IMAGES[0], IMAGES.repeat(2, axis=-1), IMAGES.astype("float32")),
                *(IMAGES > 127, IMAGES[:0], IMAGES[:, :0]),
            ]
        ),
        (image_grid, {"columns": 0}, "columns=0"),
        (image_grid, {"padding": -1}, "padding=-1"),
        (image_grid, {"scale": 1.5}, "scale=1.5"),
        (save_grid, {"path": "a.jpg"}, "must end in .png.*a.jpg"),
        (save_comparison, {"path": "a.jpg"}, "must end in .png.*a.jpg"),
        (save_comparison, {"panels": {}}, "dict of images by title"),
        (save_comparison, {"panels": [IMAGES]}, "dict of images by title"),
        (save_comparison, {"panels": {"a": IMAGES, "b": 1}}, r"'b': .*shape=\(\)"),
        (save_dependency_fields, {"fields": {}}, "`fields` must be a dict"),
        (save_dependency_fields, {"fields": {"a": np.eye(2)}}, "'a' .* boolean array"),
        (save_dependency_fields, {"fields": {"a": np.eye(1, 2) > 0}}, "1 rows and 2 c"),
        (save_canvases, {"path": "a.png"}, "must end in .gif.*a.png"),
        (save_canvases, {"canvases": CANVASES[0]}, r"glimpses.*=\(3, 4, 5, 1\)"),
        (save_canvases, {"canvases": CANVASES / 255}, "must be uint8.*dtype=float64"),
        (save_canvases, {"canvases": CANVASES.repeat(2, axis=-1)}, "1 or 3 colors"),
        (save_canvases, {"images": CANVASES}, "`images` must be uint8"),
        (save_canvases, {"images": IMAGES[:1]}, r"\(2, 3, 4, 5, 1\).*=\(1, 4, 5, 1\)"),
        (save_canvases, {"write_attention": ATTENTION}, "together.*write_size=None"),
        (save_canvases, {"write_size": 3}, "together.*write_size=3"),
        (
            save_canvases,
            {"read_attention": ATTENTION, "read_size": 2},
            "needs `images`",
        ),
        *(
            (save_canvases, {"write_attention": attention, "write_size": size}, text)
            for attention, size, text in [
                (ATTENTION[:, :2], 2, r"`write_att.*\(2, 3, 5\).*shape=\(2, 2, 5\)"),
                (ATTENTION * np.nan, 2, "`write_attention`.*finite"),
            ]
        ),
        (save_canvases, {"columns": 0}, "columns=0"),
        (save_canvases, {"scale": 0}, "scale=0"),
        (save_canvases, {"seconds_per_frame": 0.01}, "seconds_per_frame=0.01"),
        (save_canvases, {"hold_seconds": float("nan")}, "hold_seconds=nan"),
        (save_kl_per_step, {"path": "a.jpg"}, "must end in .png.*a.jpg"),
        (save_kl_per_step, {"kl": np.zeros(3)}, r"`kl` must be.*shape=\(3,\)"),
        (save_kl_per_step, {"kl": np.zeros((0, 3))}, r"`kl` must be.*=\(0, 3\)"),
        (save_kl_per_step, {"kl": np.zeros((3, 0))}, r"`kl` must be.*=\(3, 0\)"),
        (save_kl_per_step, {"kl": [["a"]]}, "`kl` must be.*dtype=<U1"),
        (save_kl_per_step, {"kl": [[1, np.nan]]}, "finite.*nan"),
        (save_kl_per_step, {"kl": {"a": [[1.0]], "b": [[np.inf]]}}, "'b' .* finite"),
        (save_kl_per_step, {"kl": {"a": np.zeros(3)}}, "`kl` of 'a' must be"),
        (save_kl_per_step, {"kl": {}}, "at least one entry"),
    ],
)
def test_bad_arguments(function, arguments, text):
    with pytest.raises(ValueError, match=text):
        function(**{**GOOD[function], **arguments})


@pytest.mark.parametrize(
    "save, module",
    [
        (save_grid, "PIL"),
        (save_canvases, "PIL"),
        (save_comparison, "matplotlib.figure"),
        (save_kl_per_step, "matplotlib.figure"),
    ],
)
def test_a_missing_library_names_the_extra(save, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=r'pip install "\.\[examples\]"'):
        save(**GOOD[save])
