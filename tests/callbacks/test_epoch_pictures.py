"""Callbacks that write pictures while a model trains."""

import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_genimg.callbacks import CanvasAnimation, Reconstructions, SampleGrid
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import DRAW, VAE, AutoregressiveModel, PixelCNN
from keras_genimg.visualization import image_grid, save_canvases

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(8, *SHAPE)).astype("uint8")
GAP = 24  # Between the two grids of `Reconstructions`.
MAKE = {
    SampleGrid: SampleGrid,
    Reconstructions: lambda folder, **kwargs: Reconstructions(folder, IMAGES, **kwargs),
    CanvasAnimation: CanvasAnimation,
}


def vae(shape=SHAPE):
    return VAE(shape, 2, 4)


def draw(read_size=None, write_size=None):
    return DRAW(SHAPE, 3, 4, 2, read_size, write_size)


@pytest.fixture(scope="module")
def with_labels():
    return PixelCNN((None, None, 1), 2, 1, num_classes=3)


def picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def written(callback, model):
    """Return the path of what a callback writes after the first epoch."""
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    return callback.directory / f"epoch_0001{callback.suffix}"


def assert_refused(error, text, model, callback):
    """Check that an error is raised before training."""
    callback.set_model(model)
    with pytest.raises(error, match=f"(?s){text}"):
        callback.on_train_begin()


@pytest.mark.parametrize(
    "kind, name, value",
    [
        *((kind, name, 0) for kind in MAKE for name in ("every", "scale", "columns")),
        *((kind, "num_images", 0) for kind in (SampleGrid, CanvasAnimation)),
        *((kind, "seed", -1) for kind in (Reconstructions, CanvasAnimation)),
    ],
)
def test_bad_arguments(kind, name, value, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}` of {kind.__name__}"):
        MAKE[kind](tmp_path, **{name: value})


@pytest.mark.parametrize(
    "kind, family",
    [
        (SampleGrid, "GenerativeModel"),
        (Reconstructions, "LatentModel"),
        (CanvasAnimation, "DRAW"),
    ],
)
def test_other_models_are_refused(kind, family, tmp_path):
    model = keras.Sequential(name="dense")
    text = f"{kind.__name__} needs a model of class .*{family}.*'dense' of type"
    assert_refused(TypeError, text, model, MAKE[kind](tmp_path))


def test_images_of_two_colors_have_no_picture(tmp_path):
    text = "images of 1 or 3 colors.*with 2 colors"
    assert_refused(ValueError, text, vae((4, 4, 2)), SampleGrid(tmp_path))


def test_a_log_needs_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match="`log_dir` .*TensorBoard: pip install"):
        SampleGrid(tmp_path, log_dir=tmp_path)


class TestSampleGrid:
    def test_writes_a_picture_every_few_epochs(self, tmp_path):
        pytest.importorskip("tensorboard")
        model, folder = vae(), tmp_path / "grids"
        model.compile("adam", run_eagerly=True)
        logs = tmp_path / "logs"
        grid = SampleGrid(folder, 6, every=2, seed=3, columns=3, log_dir=logs)
        model.fit(IMAGES, epochs=3, verbose=0, callbacks=[grid])
        assert [path.name for path in folder.iterdir()] == ["epoch_0002.png"]
        grid.on_epoch_end(5)
        drawn = model.likelihood.to_display(model.generate(6, seed=3, verbose=0))
        expected = image_grid(drawn, 3, scale=2)
        np.testing.assert_array_equal(picture(folder / "epoch_0006.png"), expected)
        (log,) = logs.iterdir()
        assert log.read_bytes().count(b"samples") == 2

    def test_draws_the_classes_and_the_size_that_are_asked_for(
        self, with_labels, tmp_path
    ):
        options = {"conditions": [0, 1, 2], "image_size": (3, 5)}
        path = written(SampleGrid(tmp_path, 3, scale=1, **options), with_labels)
        drawn = with_labels.generate(3, seed=0, verbose=0, **options)
        expected = image_grid(with_labels.likelihood.to_display(drawn))
        np.testing.assert_array_equal(picture(path), expected)

    @pytest.mark.parametrize(
        "options, text",
        [
            ({"conditions": None}, r"must give the inputs \['label'\]"),
            ({"conditions": [0, 3]}, "`label` of .* from 0 to 2"),
            ({"conditions": [0]}, "one element for each of the 2 images"),
            ({"seed": [1, 2, 3]}, "each of the 2 images"),
            ({"image_size": None}, "SampleGrid needs `image_size"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(
        self, options, text, with_labels, tmp_path
    ):
        given = {"conditions": [0, 1], "image_size": (5, 4), **options}
        assert_refused(ValueError, text, with_labels, SampleGrid(tmp_path, 2, **given))

    def test_a_model_that_cannot_be_sampled_is_refused(self, tmp_path):
        images = keras.Input(SHAPE)
        x = MaskedConv2D(2, 3, mask_type="A")(images)
        x = keras.layers.Reshape((*SHAPE[:2], 2))(keras.layers.Reshape((32,))(x))
        logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
        model, grid = AutoregressiveModel(images, logits), SampleGrid(tmp_path)
        assert_refused(ValueError, "sampled without changes by", model, grid)


class TestReconstructions:
    @pytest.mark.parametrize("colors", [1, 3])
    def test_images_stand_beside_their_reconstructions(self, colors, tmp_path):
        pytest.importorskip("tensorboard")
        model, logs = vae((4, 4, colors)), tmp_path / "logs"
        images = np.random.default_rng(0).integers(2, size=(6, 4, 4, colors))
        options = {"seed": 3, "columns": 3, "log_dir": logs}
        drawn = picture(written(Reconstructions(tmp_path, images, **options), model))
        left = image_grid((images * 255).astype("uint8"), 3, scale=2)
        means = model.reconstruct(images, seed=3, verbose=0)
        right = image_grid(model.likelihood.to_display(means), 3, scale=2)
        width = left.shape[1]
        assert drawn.shape == (len(left), 2 * width + GAP, *left.shape[2:])
        np.testing.assert_array_equal(drawn[:, :width], left)
        np.testing.assert_array_equal(drawn[:, -width:], right)
        (log,) = logs.iterdir()
        assert b"reconstructions" in log.read_bytes()

    @pytest.mark.parametrize(
        "images, text",
        [
            (IMAGES[..., 0], "Reconstructions of .*Add the color axis"),
            (np.zeros((2, 5, 4, 1)), r"expects images of shape.*shape=\(2, 5, 4, 1\)"),
            (IMAGES + 7, "expects pixels.*values from 7"),
            (tf.data.Dataset.from_tensor_slices(IMAGES).batch(4), "images as an array"),
        ],
    )
    def test_images_that_do_not_fit_are_refused(self, images, text, tmp_path):
        assert_refused(ValueError, text, vae(), Reconstructions(tmp_path, images))


class TestCanvasAnimation:
    def test_draws_from_the_prior(self, tmp_path):
        model = draw(write_size=3)
        path = written(CanvasAnimation(tmp_path, 4, seed=5), model)
        drawn = model.generate_canvases(4, seed=5, verbose=0)
        shown = model.likelihood.to_display(drawn["canvases"])
        expected = tmp_path / "expected.gif"
        save_canvases(expected, shown, drawn["write_attention"], write_size=3)
        assert path.read_bytes() == expected.read_bytes()

    @pytest.mark.parametrize("kind, size", [("read", 2), ("write", 3)])
    def test_reconstructs_images_with_and_without_attention(self, kind, size, tmp_path):
        model = draw(**{f"{kind}_size": size})
        options = {"seed": 5, "columns": 2}
        path = written(CanvasAnimation(tmp_path, images=IMAGES, **options), model)
        read = model.reconstruct_canvases(IMAGES, seed=5, verbose=0)
        attention = {f"{kind}_attention": read[f"{kind}_attention"]}
        attention[f"{kind}_size"] = size
        shown = model.likelihood.to_display(read["canvases"])
        expected = tmp_path / "expected.gif"
        save_canvases(expected, shown, images=IMAGES * 255, columns=2, **attention)
        assert path.read_bytes() == expected.read_bytes()

    def test_either_draws_or_reconstructs(self, tmp_path):
        text = "either draws `num_images` or reconstructs"
        with pytest.raises(ValueError, match=text):
            CanvasAnimation(tmp_path, 4, images=IMAGES)
