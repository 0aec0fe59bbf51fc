import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_genimg.callbacks import Reconstructions
from keras_genimg.models import VAE, PixelCNN
from keras_genimg.visualization import image_grid

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(8, *SHAPE)).astype("uint8")
GAP = 24


@pytest.fixture
def model():
    model = VAE(SHAPE, 2, 4)
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    return model


def picture(path):
    with Image.open(path) as opened:
        return np.asarray(opened)


def test_images_stand_beside_their_reconstructions(model, tmp_path):
    pytest.importorskip("tensorboard")
    pictures = Reconstructions(
        tmp_path / "pictures",
        IMAGES[:6],
        every=2,
        seed=3,
        columns=3,
        log_dir=tmp_path / "logs",
    )
    model.fit(IMAGES, epochs=4, verbose=0, callbacks=[pictures])
    names = sorted(path.name for path in (tmp_path / "pictures").iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png"]
    drawn = picture(tmp_path / "pictures" / "epoch_0004.png")
    left = image_grid(IMAGES[:6] * 255, 3, scale=2)
    means = model.reconstruct(IMAGES[:6], seed=3, verbose=0)
    right = image_grid(model.likelihood.to_display(means), 3, scale=2)
    assert drawn.shape == (left.shape[0], 2 * left.shape[1] + GAP)
    np.testing.assert_array_equal(drawn[:, : left.shape[1]], left)
    np.testing.assert_array_equal(drawn[:, -left.shape[1] :], right)
    earlier = picture(tmp_path / "pictures" / "epoch_0002.png")
    assert (earlier != drawn).any()
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_bytes().count(b"reconstructions") == 2


def test_color_images(tmp_path):
    model = VAE((4, 4, 3), 2, 4)
    model.compile("sgd", run_eagerly=True)
    images = np.random.default_rng(0).integers(2, size=(4, 4, 4, 3))
    model.fit(images, verbose=0, callbacks=[Reconstructions(tmp_path, images, scale=1)])
    drawn = picture(tmp_path / "epoch_0001.png")
    left = image_grid((images * 255).astype("uint8"))
    np.testing.assert_array_equal(drawn[:, : left.shape[1]], left)


def test_models_of_other_families_are_refused_before_training(tmp_path):
    autoregressive = PixelCNN(SHAPE, 2, 1, name="pixels")
    autoregressive.compile("sgd", run_eagerly=True)
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)], name="dense")
    dense.compile("sgd", "mse")
    for other, inputs in (
        (autoregressive, [IMAGES]),
        (dense, [np.ones((4, 2)), np.ones(4)]),
    ):
        before = other.get_weights()
        text = f"Reconstructions needs a model with latent.*'{other.name}' of type"
        with pytest.raises(TypeError, match=text):
            other.fit(*inputs, verbose=0, callbacks=[Reconstructions(tmp_path, IMAGES)])
        for value, now in zip(before, other.get_weights(), strict=True):
            np.testing.assert_array_equal(value, now)


@pytest.mark.parametrize(
    "images, text",
    [
        (IMAGES[..., 0], "Reconstructions of .*Add the color axis"),
        (np.zeros((2, 5, 4, 1)), r"expects images of shape.*shape=\(2, 5, 4, 1\)"),
        (IMAGES + 7, "expects pixels.*values from 7"),
        (tf.data.Dataset.from_tensor_slices(IMAGES).batch(4), "images as an array"),
    ],
)
def test_images_that_do_not_fit_are_refused_before_training(
    model, images, text, tmp_path
):
    before = model.get_weights()
    with pytest.raises(ValueError, match=f"(?s){text}"):
        model.fit(IMAGES, verbose=0, callbacks=[Reconstructions(tmp_path, images)])
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_images_of_two_colors_have_no_picture(tmp_path):
    model = VAE((4, 4, 2), 2, 4)
    model.compile("sgd", run_eagerly=True)
    images = np.zeros((4, 4, 4, 2))
    with pytest.raises(ValueError, match="images of 1 or 3 colors.*with 2 colors"):
        model.fit(images, verbose=0, callbacks=[Reconstructions(tmp_path, images)])


@pytest.mark.parametrize(
    "arguments", [{"every": 0}, {"scale": 0}, {"columns": 0}, {"seed": -1}], ids=str
)
def test_bad_arguments(arguments, tmp_path):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` of Reconstructions"):
        Reconstructions(tmp_path, IMAGES, **arguments)
