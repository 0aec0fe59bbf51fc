import keras
import numpy as np
import pytest
from PIL import Image

from keras_genimg.callbacks import CanvasAnimation
from keras_genimg.models import DRAW, VAE
from keras_genimg.visualization import save_canvases

SHAPE = (6, 6, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(4, *SHAPE)).astype("uint8")


def make(read_size=2, write_size=3):
    model = DRAW(SHAPE, 3, 4, 2, read_size, write_size)
    model.compile(keras.optimizers.Adam(0.05), run_eagerly=True)
    return model


def frames(path):
    with Image.open(path) as gif:
        assert gif.format == "GIF"
        shown = []
        for index in range(gif.n_frames):
            gif.seek(index)
            shown.append(np.asarray(gif.convert("RGB")))
    return shown


def assert_same_animation(path, other):
    for frame, expected in zip(frames(path), frames(other), strict=True):
        np.testing.assert_array_equal(frame, expected)


def test_draws_from_the_prior(tmp_path):
    model = make()
    canvases = CanvasAnimation(tmp_path / "gifs", 4, every=2, seed=5)
    model.fit(IMAGES, epochs=4, verbose=0, callbacks=[canvases])
    paths = sorted((tmp_path / "gifs").iterdir())
    assert [path.name for path in paths] == ["epoch_0002.gif", "epoch_0004.gif"]
    drawn = model.generate_canvases(4, seed=5, verbose=0)
    save_canvases(
        tmp_path / "expected.gif",
        model.likelihood.to_display(drawn["canvases"]),
        drawn["write_attention"],
        write_size=3,
    )
    assert_same_animation(paths[1], tmp_path / "expected.gif")
    assert any(((frame == (255, 0, 0)).all(-1)).any() for frame in frames(paths[0]))


@pytest.mark.parametrize("sizes", [(2, 3), (2, None), (None, None)], ids=str)
def test_reconstructs_images_with_and_without_attention(sizes, tmp_path):
    model = make(*sizes)
    canvases = CanvasAnimation(tmp_path, images=IMAGES, seed=5, columns=2)
    model.fit(IMAGES, verbose=0, callbacks=[canvases])
    read = model.reconstruct_canvases(IMAGES, seed=5, verbose=0)
    attention = {}
    for kind, size in zip(("read", "write"), sizes, strict=True):
        if size is not None:
            attention[f"{kind}_attention"] = read[f"{kind}_attention"]
            attention[f"{kind}_size"] = size
    save_canvases(
        tmp_path / "expected.gif",
        model.likelihood.to_display(read["canvases"]),
        images=IMAGES * 255,
        columns=2,
        **attention,
    )
    assert_same_animation(tmp_path / "epoch_0001.gif", tmp_path / "expected.gif")


def test_other_models_are_refused_before_training(tmp_path):
    model = VAE(SHAPE, 2, 4)
    model.compile("sgd", run_eagerly=True)
    with pytest.raises(TypeError, match="CanvasAnimation needs the model DRAW.*VAE"):
        model.fit(IMAGES, verbose=0, callbacks=[CanvasAnimation(tmp_path)])


def test_images_of_another_shape_are_refused_before_training(tmp_path):
    canvases = CanvasAnimation(tmp_path, images=IMAGES[:, :5])
    with pytest.raises(ValueError, match=r"CanvasAnimation of .*shape=\(4, 5, 6, 1\)"):
        make().fit(IMAGES, verbose=0, callbacks=[canvases])


@pytest.mark.parametrize(
    "arguments", [{"num_images": 0}, {"every": 0}, {"scale": 0}, {"seed": -1}], ids=str
)
def test_bad_arguments(arguments, tmp_path):
    (name,) = arguments
    with pytest.raises(ValueError, match=f"`{name}` of CanvasAnimation"):
        CanvasAnimation(tmp_path, **arguments)


def test_either_draws_or_reconstructs(tmp_path):
    with pytest.raises(ValueError, match="either draws `num_images` or reconstructs"):
        CanvasAnimation(tmp_path, 4, images=IMAGES)
