"""The plot of the KL of each glimpse: what is drawn, and the file."""

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_genimg.visualization import save_kl_per_step


@pytest.fixture
def figures(monkeypatch):
    """List of the figures that were saved."""
    saved = []
    savefig = Figure.savefig

    def save(self, *args, **kwargs):
        saved.append(self)
        savefig(self, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", save)
    return saved


def test_one_model_by_hand(tmp_path, figures):
    # Images 0 to 10: their 10th and 90th percentiles are those of images 1 and 9.
    kl = np.arange(11.0)[:, None] * [1, 0.1] + [0, 2]
    path = tmp_path / "kl.png"
    path.write_text("an older file")
    save_kl_per_step(str(path), kl.astype("float32"))
    assert list(tmp_path.iterdir()) == [path]
    with Image.open(path) as picture:
        assert picture.format == "PNG"
        assert len(np.unique(picture.convert("L"))) > 2
    (axes,) = figures[0].axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("glimpse", "KL, nats")
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 5], [2, 2.5]], rtol=1e-6)
    (band,) = axes.collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices.round(4)}
    assert corners == {(1, 1), (1, 9), (2, 2.1), (2, 2.9)}
    (text,) = axes.get_legend().get_texts()
    assert text.get_text() == "total 7.5 nats"


def test_models_are_compared_under_their_labels(tmp_path, figures):
    labels = ["DRAW", "_no attention $x$ and $"]
    save_kl_per_step(
        tmp_path / "kl.png", {labels[0]: np.ones((3, 4)), labels[1]: np.full((2, 7), 2)}
    )
    (axes,) = figures[0].axes
    assert [len(line.get_xdata()) for line in axes.lines] == [4, 7]
    assert len({line.get_color() for line in axes.lines}) == 2
    assert [text.get_text() for text in axes.get_legend().get_texts()] == [
        "DRAW: total 4.0 nats",
        "_no attention $x$ and $: total 14.0 nats",
    ]


def test_one_image_of_one_glimpse_is_seen(tmp_path, figures):
    save_kl_per_step(tmp_path / "kl.png", [[3.0]])
    with Image.open(tmp_path / "kl.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    # A colored dot where the axes have the glimpse.
    x, y = figures[0].axes[0].transData.transform((1, 3)).round().astype(int)
    assert np.ptp(pixels[len(pixels) - y, x]) > 50
    assert figures[0].axes[0].get_xlim() == (0.5, 1.5)


@pytest.mark.parametrize("lowest, is_zero", [(0.5, True), (-0.5, False)])
def test_axis_begins_at_zero_unless_there_is_less(tmp_path, figures, lowest, is_zero):
    save_kl_per_step(tmp_path / "kl.png", [[lowest, 1.0]])
    bottom, _ = figures[0].axes[0].get_ylim()
    assert (bottom == 0) == is_zero and bottom <= lowest


@pytest.mark.parametrize(
    "kl, text",
    [
        (np.zeros(3), r"`kl` must be.*shape=\(3,\)"),
        (np.zeros((0, 3)), r"`kl` must be.*shape=\(0, 3\)"),
        (np.zeros((3, 0)), r"`kl` must be.*shape=\(3, 0\)"),
        ([["a"]], "`kl` must be.*dtype=<U1"),
        ([[1, np.nan]], "finite.*nan"),
        ({"a": [[1.0]], "b": [[np.inf]]}, "`kl` of 'b' must be finite.*inf"),
        ({"a": np.zeros(3)}, "`kl` of 'a' must be"),
        ({}, "at least one entry"),
    ],
)
def test_bad_numbers_are_refused(tmp_path, kl, text):
    with pytest.raises(ValueError, match=text):
        save_kl_per_step(tmp_path / "kl.png", kl)
    assert not list(tmp_path.iterdir())
