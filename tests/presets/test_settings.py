import numpy as np
import pytest

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, PixelCNN, PixelRNN

KEYS = ("num_layers", "units", "head_filters", "image_shape", "layer")
PAPER = {
    "mnist_diagonal_1x32": (1, 32, 32, (28, 28, 1), "diagonal"),
    "mnist_diagonal_7x16": (7, 16, 32, (28, 28, 1), "diagonal"),
    "cifar10_row_12x128": (12, 128, 1024, (32, 32, 3), "row"),
    "cifar10_diagonal_12x128": (12, 128, 1024, (32, 32, 3), "diagonal"),
    "imagenet32_row_12x384": (12, 384, 1024, (32, 32, 3), "row"),
    "imagenet64_row_4x512": (4, 512, 1024, (64, 64, 3), "row"),
}


@pytest.mark.parametrize("name", PAPER)
def test_published_settings(name):
    config = PixelRNN.presets[name].config
    assert tuple(config[key] for key in KEYS) == PAPER[name]
    assert config.get("residual", True) == (name != "imagenet64_row_4x512")
    likelihood = "bernoulli" if name.startswith("mnist") else Categorical(256)
    assert config["likelihood"] == likelihood
    assert "RMSProp" in PixelRNN.presets[name].description


@pytest.mark.parametrize(
    "model_class, name",
    [(c, x) for c in (PixelCNN, GatedPixelCNN, PixelRNN) for x in c.presets],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_presets_compute_at_small_size(model_class, name):
    colors = model_class.presets[name].config["image_shape"][-1]
    depth = "num_layers" if model_class is PixelRNN else "num_blocks"
    model = model_class.from_preset(
        name, image_shape=(4, 5, colors), units=6, head_filters=6, **{depth: 1}
    )
    images = np.ones((2, 4, 5, colors), "uint8")
    assert np.isfinite(model(images)).all()


def test_size_of_the_mnist_model():
    model = PixelRNN.from_preset("mnist_diagonal_7x16")
    skips = 7 * (32 * 32 + 32)
    initial_states = 7 * 2 * 2 * 16
    assert model.count_params() - skips - initial_states == 65_793


def test_unknown_preset_lists_the_known_and_suggests_one():
    with pytest.raises(
        ValueError, match="no preset 'cifar'.*cifar10_15x128, cifar10_small, digits"
    ):
        PixelCNN.from_preset("cifar")
    with pytest.raises(ValueError, match="'mnst'. Did you mean 'mnist'?"):
        PixelCNN.from_preset("mnst")
