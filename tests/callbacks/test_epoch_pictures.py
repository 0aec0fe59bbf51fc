"""Callbacks that write pictures while a model trains."""

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
    return compiled(VAE(shape, 2, 4))


def draw(read_size=2, write_size=3):
    return compiled(DRAW(SHAPE, 3, 4, 2, read_size, write_size))


def compiled(model, *loss):
    model.compile(keras.optimizers.Adam(0.05), *loss, run_eagerly=True)
    return model


def picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def first_picture(callback, model):
    """Return what a callback writes after the first epoch."""
    callback.set_model(model)
    callback.on_train_begin()
    callback.on_epoch_end(0)
    return picture(callback.directory / "epoch_0001.png")


def frames(path):
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        shown = []
        for index in range(gif.n_frames):
            gif.seek(index)
            shown.append(np.asarray(gif.convert("RGB")))
    return shown


def assert_refused(error, text, model, callback, x=IMAGES, **options):
    """Check that `fit` raises an error before it changes a weight."""
    before = model.get_weights()
    with pytest.raises(error, match=f"(?s){text}"):
        model.fit(x, verbose=0, callbacks=[callback], **options)
    np.testing.assert_equal(before, model.get_weights())


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
    layers = [keras.Input((2,)), keras.layers.Dense(1)]
    dense = compiled(keras.Sequential(layers, name="dense"), "mse")
    text = f"{kind.__name__} needs a model of class .*{family}.*'dense' of type"
    x = {"x": np.ones((4, 2)), "y": np.ones(4)}
    assert_refused(TypeError, text, dense, MAKE[kind](tmp_path), **x)


def test_a_log_needs_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="`log_dir` .*TensorBoard: pip install"):
        SampleGrid(tmp_path, log_dir=tmp_path)


class TestSampleGrid:
    def test_writes_a_picture_every_few_epochs(self, tmp_path):
        pytest.importorskip("tensorboard")
        model, folder = vae(), tmp_path / "grids"
        logs = tmp_path / "logs"
        grid = SampleGrid(folder, 6, every=2, seed=3, columns=3, log_dir=logs)
        model.fit(IMAGES, epochs=5, verbose=0, callbacks=[grid])
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["epoch_0002.png", "epoch_0004.png"]
        grid.on_epoch_end(5)
        grid.on_train_end()
        drawn = model.likelihood.to_display(model.generate(6, seed=3, verbose=0))
        expected = image_grid(drawn, 3, scale=2)
        np.testing.assert_array_equal(picture(folder / "epoch_0006.png"), expected)
        (log,) = logs.iterdir()
        assert log.read_bytes().count(b"samples") == 3

    def test_draws_the_classes_that_are_asked_for(self, tmp_path):
        model = PixelCNN(SHAPE, 2, 1, num_classes=3)
        grid = SampleGrid(tmp_path, 3, conditions=[0, 1, 2])
        drawn = model.generate(3, seed=0, conditions=[0, 1, 2], verbose=0)
        expected = image_grid(model.likelihood.to_display(drawn), scale=2)
        np.testing.assert_array_equal(first_picture(grid, model), expected)

    def test_models_of_any_size_draw_the_size_that_is_asked_for(self, tmp_path):
        grid = SampleGrid(tmp_path, 1, image_size=(3, 5), scale=1)
        model = PixelCNN((None, None, 1), 2, 1)
        assert first_picture(grid, model).shape == (3, 5)

    @pytest.mark.parametrize(
        "options, text",
        [
            ({"conditions": None}, r"must give the inputs \['label'\]"),
            ({"conditions": [0, 3]}, "`label` of .* from 0 to 2"),
            ({"conditions": [0]}, "one element for each of the 2 images"),
            ({"seed": [1, 2, 3]}, "each of the 2 images"),
            ({"image_size": (5, 4)}, "SampleGrid needs `image_size"),
        ],
    )
    def test_what_cannot_be_drawn_is_refused(self, options, text, tmp_path):
        model = compiled(PixelCNN(SHAPE, 2, 1, num_classes=3))
        grid = SampleGrid(tmp_path, 2, **{"conditions": [0, 1], **options})
        x = {"images": IMAGES, "label": np.arange(8) % 3}
        assert_refused(ValueError, text, model, grid, x)

    def test_a_model_that_cannot_be_sampled_is_refused(self, tmp_path):
        images = keras.Input(SHAPE)
        x = MaskedConv2D(2, 3, mask_type="A")(images)
        x = keras.layers.Reshape((*SHAPE[:2], 2))(keras.layers.Reshape((32,))(x))
        logits = MaskedConv2D(1, 1, "B", dtype="float32")(x)
        model = compiled(AutoregressiveModel(images, logits, "bernoulli"))
        grid = SampleGrid(tmp_path)
        assert_refused(ValueError, "sampled without changes by", model, grid)


class TestReconstructions:
    def test_images_stand_beside_their_reconstructions(self, tmp_path):
        pytest.importorskip("tensorboard")
        model, folder = vae(), tmp_path / "pictures"
        options = {"every": 2, "seed": 3, "columns": 3, "log_dir": tmp_path / "logs"}
        pictures = Reconstructions(folder, IMAGES[:6], **options)
        model.fit(IMAGES, epochs=4, verbose=0, callbacks=[pictures])
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["epoch_0002.png", "epoch_0004.png"]
        drawn = picture(folder / "epoch_0004.png")
        left = image_grid(IMAGES[:6] * 255, 3, scale=2)
        means = model.reconstruct(IMAGES[:6], seed=3, verbose=0)
        right = image_grid(model.likelihood.to_display(means), 3, scale=2)
        assert drawn.shape == (left.shape[0], 2 * left.shape[1] + GAP)
        np.testing.assert_array_equal(drawn[:, : left.shape[1]], left)
        np.testing.assert_array_equal(drawn[:, -left.shape[1] :], right)
        assert (picture(folder / "epoch_0002.png") != drawn).any()
        (log,) = (tmp_path / "logs").iterdir()
        assert log.read_bytes().count(b"reconstructions") == 2

    def test_color_images(self, tmp_path):
        images = np.random.default_rng(0).integers(2, size=(4, 4, 4, 3))
        pictures = Reconstructions(tmp_path, images, scale=1)
        vae((4, 4, 3)).fit(images, verbose=0, callbacks=[pictures])
        left = image_grid((images * 255).astype("uint8"))
        drawn = picture(tmp_path / "epoch_0001.png")
        np.testing.assert_array_equal(drawn[:, : left.shape[1]], left)

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

    def test_images_of_two_colors_have_no_picture(self, tmp_path):
        images = np.zeros((4, 4, 4, 2))
        pictures = Reconstructions(tmp_path, images)
        text = "images of 1 or 3 colors.*with 2 colors"
        assert_refused(ValueError, text, vae((4, 4, 2)), pictures, images)


class TestCanvasAnimation:
    def assert_same_animation(self, path, other):
        np.testing.assert_equal(frames(path), frames(other))

    def test_draws_from_the_prior(self, tmp_path):
        model, folder = draw(), tmp_path / "gifs"
        canvases = CanvasAnimation(folder, 4, every=2, seed=5)
        model.fit(IMAGES, epochs=4, verbose=0, callbacks=[canvases])
        paths = sorted(folder.iterdir())
        assert [path.name for path in paths] == ["epoch_0002.gif", "epoch_0004.gif"]
        drawn = model.generate_canvases(4, seed=5, verbose=0)
        shown = model.likelihood.to_display(drawn["canvases"])
        expected = tmp_path / "expected.gif"
        save_canvases(expected, shown, drawn["write_attention"], write_size=3)
        self.assert_same_animation(paths[1], expected)

    @pytest.mark.parametrize("sizes", [(2, 3), (2, None), (None, None)], ids=str)
    def test_reconstructs_images_with_and_without_attention(self, sizes, tmp_path):
        model = draw(*sizes)
        canvases = CanvasAnimation(tmp_path, images=IMAGES, seed=5, columns=2)
        model.fit(IMAGES, verbose=0, callbacks=[canvases])
        read = model.reconstruct_canvases(IMAGES, seed=5, verbose=0)
        attention = {}
        for kind, size in zip(("read", "write"), sizes, strict=True):
            if size is not None:
                attention[f"{kind}_attention"] = read[f"{kind}_attention"]
                attention[f"{kind}_size"] = size
        shown = model.likelihood.to_display(read["canvases"])
        expected = tmp_path / "expected.gif"
        save_canvases(expected, shown, images=IMAGES * 255, columns=2, **attention)
        self.assert_same_animation(tmp_path / "epoch_0001.gif", expected)

    def test_images_of_another_shape_are_refused(self, tmp_path):
        canvases = CanvasAnimation(tmp_path, images=IMAGES[:, :3])
        text = r"CanvasAnimation of .*shape=\(8, 3, 4, 1\)"
        assert_refused(ValueError, text, draw(), canvases)

    def test_either_draws_or_reconstructs(self, tmp_path):
        text = "either draws `num_images` or reconstructs"
        with pytest.raises(ValueError, match=text):
            CanvasAnimation(tmp_path, 4, images=IMAGES)
