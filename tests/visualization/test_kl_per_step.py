"""The plot of the KL of each glimpse: what is drawn, and the file."""

from unittest import mock

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from keras_genimg.visualization import save_kl_per_step


@pytest.fixture
def plot(tmp_path, monkeypatch):
    """Return a function that plots numbers and returns the axes and the pixels."""
    savefig = mock.create_autospec(Figure.savefig, side_effect=Figure.savefig)
    monkeypatch.setattr(Figure, "savefig", savefig)
    path = tmp_path / "kl.png"
    path.write_text("an older file")

    def save(kl):
        save_kl_per_step(str(path), kl)
        assert list(tmp_path.iterdir()) == [path]
        (axes,) = savefig.call_args.args[0].axes
        with Image.open(path) as picture:
            assert picture.format == "PNG"
            return axes, np.asarray(picture.convert("RGB")).astype(int)

    return save


def test_one_model_by_hand(plot):
    # Images 0 to 10: their 10th and 90th percentiles are those of images 1 and 9.
    kl = np.arange(11.0)[:, None] * [1, 0.1] + [0, 2]
    axes, _ = plot(kl.astype("float32"))
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("glimpse", "KL, nats")
    (line,) = axes.lines
    np.testing.assert_allclose(line.get_xydata(), [[1, 5], [2, 2.5]], rtol=1e-6)
    (band,) = axes.collections
    corners = {tuple(point) for point in band.get_paths()[0].vertices.round(4)}
    assert corners == {(1, 1), (1, 9), (2, 2.1), (2, 2.9)}
    (text,) = axes.get_legend().get_texts()
    assert text.get_text() == "total 7.5 nats"


def test_models_are_compared_under_their_labels(plot):
    label = "_no attention $x$ and $"
    axes, _ = plot({"DRAW": np.ones((3, 4)), label: np.full((2, 7), 2)})
    assert [len(line.get_xdata()) for line in axes.lines] == [4, 7]
    assert len({line.get_color() for line in axes.lines}) == 2
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == ["DRAW: total 4.0 nats", f"{label}: total 14.0 nats"]


def test_one_image_of_one_glimpse_is_seen(plot):
    axes, pixels = plot([[3.0]])
    # A colored dot where the axes have the glimpse.
    x, y = axes.transData.transform((1, 3)).round().astype(int)
    assert np.ptp(pixels[len(pixels) - y, x]) > 50
    assert axes.get_xlim() == (0.5, 1.5)


@pytest.mark.parametrize("lowest, is_zero", [(0.5, True), (-0.5, False)])
def test_axis_begins_at_zero_unless_there_is_less(plot, lowest, is_zero):
    axes, _ = plot([[lowest, 1.0]])
    bottom, _ = axes.get_ylim()
    assert (bottom == 0) == is_zero and bottom <= lowest
