import json
import os
import pathlib

import numpy as np
import pytest

from keras_genimg import datasets, models
from keras_genimg.models import PixelCNN
from keras_genimg.presets import weights as preset_weights


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


LICENSES = {"mnist": ("CC BY-SA", "777"), "cifar10": ("Krizhevsky", "as is")}


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
    images = datasets.as_array(datasets.load(data, "test", **options).take(1))
    if hasattr(model, "elbo"):
        nats, reached = -model.elbo(images, seed=777), card["elbo_of_first_1000"]
    else:
        nats, reached = -model.log_prob(images), card["nats_of_first_1000"]
    assert abs(nats.mean() - reached) < max(0.05, 1e-4 * reached)
