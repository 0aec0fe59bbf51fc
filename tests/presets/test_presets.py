"""Presets: settings, recipes and trained weights."""

import json
import os
import pathlib
from typing import NamedTuple

import keras
import numpy as np
import pytest

from keras_genimg import datasets, models
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import GatedPixelCNN, OrientedModel, PixelCNN, PixelRNN
from keras_genimg.presets import weights as preset_weights
from keras_genimg.presets.preset import Recipe


class Published(NamedTuple):
    """Settings of a model in the PixelRNN paper."""

    num_layers: int
    units: int
    head_filters: int
    image_shape: tuple
    layer: str


PAPER = {
    "mnist_diagonal_1x32": Published(1, 32, 32, (28, 28, 1), "diagonal"),
    "mnist_diagonal_7x16": Published(7, 16, 32, (28, 28, 1), "diagonal"),
    "cifar10_row_12x128": Published(12, 128, 1024, (32, 32, 3), "row"),
    "cifar10_diagonal_12x128": Published(12, 128, 1024, (32, 32, 3), "diagonal"),
    "imagenet32_row_12x384": Published(12, 384, 1024, (32, 32, 3), "row"),
    "imagenet64_row_4x512": Published(4, 512, 1024, (64, 64, 3), "row"),
}


@pytest.mark.parametrize("name", PAPER)
def test_published_settings(name):
    config = PixelRNN.presets[name].config
    published = PAPER[name]._asdict()
    assert {key: config[key] for key in published} == published
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
    if model.class_names:
        images = {"images": images, "label": np.arange(2)}
    assert np.isfinite(model(images)).all()


def test_an_oriented_preset_takes_settings_of_its_network():
    model = OrientedModel.from_preset(
        "mnist",
        image_shape=(4, 6, 1),
        units=6,
        num_blocks=1,
        first_kernel_size=7,
        orders=(2, 0),
        num_classes=3,
        name="mine",
    )
    assert model.name == "mine" and model.orders == (2, 0)
    assert isinstance(model.network, PixelCNN)
    assert model.network.condition_ranges == {"order": (0, 1), "label": (0, 2)}
    images = {"images": np.ones((2, 4, 6, 1), "uint8"), "label": np.arange(2)}
    assert np.isfinite(model.log_prob(images)).all()


def test_an_oriented_preset_makes_its_own_network():
    network = PixelCNN((4, 4, 1), units=2, num_blocks=1, num_classes=8)
    for given in (network, "VAE"):
        text = "must be one of PixelCNN, .*call OrientedModel.network.*Received: netw"
        with pytest.raises(ValueError, match=text):
            OrientedModel.from_preset("mnist", network=given)


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


def test_the_first_weights_have_next_to_no_weight_in_the_average():
    """Long runs have the momentum of the recipe."""
    recipe = Recipe(34, 64, 2e-3, ema_momentum=0.999)
    assert recipe.optimizer(859).ema_momentum == 0.999
    for steps in (1, 10, 200, 859, 5000):
        momentum = recipe.optimizer(steps, epochs=1).ema_momentum
        assert momentum**steps < 1e-4, steps


@pytest.mark.parametrize("steps, warmup", [(5, 0), (100, 10), (5000, 200)])
def test_a_short_run_warms_up_in_a_tenth_of_its_steps(steps, warmup):
    rate = Recipe(1, 16, 0.5, warmup_steps=200).optimizer(steps)._learning_rate
    rates = np.array([rate(step) for step in range(steps + 1)])
    assert rates.argmax() == warmup and rates.max() == 0.5
    assert rates[0] == (0 if warmup else 0.5) and abs(rates[-1]) < 1e-6


def test_a_short_run_ends_with_trained_weights():
    """`fit` leaves the average in the model."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(640, 3)).astype("float32")
    y = x @ np.float32([[1], [-2], [3]])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    recipe = Recipe(10, 32, 0.1, ema_momentum=0.999)
    model.compile(recipe.optimizer(20), "mse")
    model.fit(x, y, batch_size=32, epochs=10, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.01


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Write weights of a preset; return the model they come from."""
    monkeypatch.setattr(preset_weights, "FOLDER", tmp_path)
    model = PixelCNN.from_preset("digits")
    weights = model.get_weights()
    path = preset_weights.write_weights(tmp_path, "PixelCNN", "digits", weights)
    path.with_suffix(".json").write_text(json.dumps({"nats": 81.0}))
    return model


def test_weights_are_those_written_in_half_precision(written):
    loaded = PixelCNN.from_preset("digits", weights=True, name="mine")
    assert loaded.name == "mine"
    for a, b in zip(loaded.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float16").astype("float32"))
    assert preset_weights.read_card("PixelCNN", "digits")["nats"] == 81


def test_other_shapes_are_refused(written):
    with pytest.raises(ValueError, match="(?s)do not fit.*weight shape"):
        PixelCNN.from_preset("digits", weights=True, units=8)
    for num_blocks in (2, 4):
        with pytest.raises(ValueError, match="(?s)do not fit.*weights"):
            PixelCNN.from_preset("digits", weights=True, num_blocks=num_blocks)


def test_a_preset_without_weights_names_those_that_have_some(written):
    text = "PixelCNN 'cifar10_15x128' has no trained weights.*that have: digits"
    with pytest.raises(ValueError, match=text):
        PixelCNN.from_preset(
            "cifar10_15x128", weights=True, image_shape=(4, 4, 3), units=3, num_blocks=1
        )


def test_large_weights_are_not_clipped(tmp_path):
    with pytest.raises(ValueError, match="at most 65504"):
        preset_weights.write_weights(tmp_path, "X", "y", [np.float32([1e5])])
    assert not list(tmp_path.iterdir())


SHIPPED = [
    tuple(path.stem.split("-")) for path in sorted(preset_weights.FOLDER.glob("*.npz"))
]


LICENSES = {
    "mnist": ("CC BY-SA", "777"),
    "binarized_mnist": ("CC BY-SA", "fixed bits"),
    "cifar10": ("Krizhevsky", "as is"),
}


def test_the_shipped_weights_are_small_and_have_cards():
    sizes = [path.stat().st_size for path in preset_weights.FOLDER.glob("*.npz")]
    assert sizes and max(sizes) < 2e6 and sum(sizes) < 10e6
    for owner, name in SHIPPED:
        card = preset_weights.read_card(owner, name)
        assert card["preset"] == f"{owner}/{name}" and card["images"] == 10_000
        license, how = LICENSES[card["data"]["name"]]
        assert license in card["license"] and how in card["test_images"]


@pytest.mark.slow
@pytest.mark.parametrize("owner, name", SHIPPED)
def test_the_shipped_weights_reach_what_their_card_says(owner, name):
    folder = os.environ.get("TFDS_DATA_DIR")
    card = preset_weights.read_card(owner, name)
    data = card["data"]["name"]
    if not folder or not pathlib.Path(folder, data).is_dir():
        pytest.skip(f"TFDS_DATA_DIR has no prepared {data}")
    model = getattr(models, owner).from_preset(name, weights=True)
    options = {"likelihood": model.likelihood, "seed": 777, "batch_size": 1000}
    options["labels"] = "labels" in card["data"]
    images = datasets.as_array(datasets.load(data, "test", **options).take(1))
    if hasattr(model, "elbo"):
        nats, reached = -model.elbo(images, seed=777), card["elbo_of_first_1000"]
    else:
        nats, reached = -model.log_prob(images), card["nats_of_first_1000"]
    assert abs(nats.mean() - reached) < max(0.05, 1e-4 * reached)
