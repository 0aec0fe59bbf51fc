import keras
import numpy as np
import pytest
from PIL import Image

from keras_genimg.callbacks import SampleGrid
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import VAE, AutoregressiveModel, PixelCNN
from keras_genimg.visualization import image_grid

SHAPE = (4, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(8, *SHAPE)).astype("uint8")


def test_writes_a_picture_every_few_epochs(tmp_path):
    pytest.importorskip("tensorboard")
    model = VAE(SHAPE, 2, 4)
    model.compile("sgd", run_eagerly=True)
    grid = SampleGrid(
        tmp_path / "grids", 6, every=2, seed=3, columns=3, log_dir=tmp_path / "logs"
    )
    model.fit(IMAGES, epochs=5, verbose=0, callbacks=[grid])
    names = sorted(path.name for path in (tmp_path / "grids").iterdir())
    assert names == ["epoch_0002.png", "epoch_0004.png"]
    grid.on_epoch_end(5)
    grid.on_train_end()
    drawn = model.likelihood.to_display(model.generate(6, seed=3, verbose=0))
    with Image.open(tmp_path / "grids" / "epoch_0006.png") as picture:
        np.testing.assert_array_equal(picture, image_grid(drawn, 3, scale=2))
    (log,) = (tmp_path / "logs").iterdir()
    assert log.read_bytes().count(b"samples") == 3


def test_draws_the_classes_that_are_asked_for(tmp_path):
    model = PixelCNN(SHAPE, 2, 1, num_classes=3)
    grid = SampleGrid(tmp_path, 3, conditions=[0, 1, 2])
    grid.set_model(model)
    grid.on_epoch_end(0)
    drawn = model.generate(3, seed=0, conditions=[0, 1, 2], verbose=0)
    expected = image_grid(model.likelihood.to_display(drawn), scale=2)
    with Image.open(tmp_path / "epoch_0001.png") as picture:
        np.testing.assert_array_equal(picture, expected)


def test_a_log_needs_tensorboard(tmp_path, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ImportError, match="`log_dir` .*TensorBoard: pip install"):
        SampleGrid(tmp_path, log_dir=tmp_path)


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
def test_what_cannot_be_drawn_is_refused_before_training(options, text, tmp_path):
    model = PixelCNN(SHAPE, 2, 1, num_classes=3)
    model.compile("sgd", run_eagerly=True)
    before = model.get_weights()
    grid = SampleGrid(tmp_path, 2, **{"conditions": [0, 1], **options})
    x = {"images": IMAGES, "label": np.arange(8) % 3}
    with pytest.raises(ValueError, match=text):
        model.fit(x, verbose=0, callbacks=[grid])
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_a_model_that_cannot_be_sampled_is_refused_before_training(tmp_path):
    images = keras.Input(SHAPE)
    x = MaskedConv2D(2, 3, mask_type="A")(images)
    x = keras.layers.Reshape(SHAPE[:2] + (2,))(keras.layers.Reshape((32,))(x))
    logits = MaskedConv2D(1, 1, dtype="float32")(x)
    model = AutoregressiveModel(images, logits, "bernoulli")
    model.compile("sgd", run_eagerly=True)
    before = model.get_weights()
    with pytest.raises(ValueError, match="sampled without changes by method"):
        model.fit(IMAGES, verbose=0, callbacks=[SampleGrid(tmp_path)])
    for value, now in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(value, now)


def test_other_models_of_keras_are_refused(tmp_path):
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    grid = SampleGrid(tmp_path)
    with pytest.raises(TypeError, match="SampleGrid needs a model of keras_genimg.mod"):
        model.fit(np.ones((4, 2)), np.ones(4), verbose=0, callbacks=[grid])


def test_models_of_any_size_draw_the_size_that_is_asked_for(tmp_path):
    model = PixelCNN((None, None, 1), 2, 1)
    grid = SampleGrid(tmp_path, 1, image_size=(3, 5), scale=1)
    grid.set_model(model)
    grid.on_train_begin()
    grid.on_epoch_end(0)
    with Image.open(tmp_path / "epoch_0001.png") as picture:
        assert picture.size == (5, 3)


@pytest.mark.parametrize("name", ["num_images", "every", "scale", "columns"])
def test_bad_arguments(name, tmp_path):
    with pytest.raises(ValueError, match=f"`{name}` of SampleGrid"):
        SampleGrid(tmp_path, **{name: 0})
