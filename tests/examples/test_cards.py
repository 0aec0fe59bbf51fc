"""A run gets a card that its weights reproduce, on images of the form of MNIST."""

import json
import pathlib
import shutil
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_genimg.commands.training_images import TEST_SEED
from keras_genimg.datasets import as_array, load
from keras_genimg.models import OrientedModel, PixelCNN
from keras_genimg.presets import weights as preset_weights
from tests.datasets.written_sets import write_set

pytestmark = pytest.mark.slow

TRAIN = "genimg-train --preset VAE/mnist --epochs 1 --samples 0"
FASHION = "--data fashion_mnist --image-size 28"


class Carded(NamedTuple):
    """A run, and the card that `evaluate.py` writes for it."""

    run: pathlib.Path
    printed: str
    card: dict[str, Any]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Folder of small data sets, and of the weights of presets."""
    folder = tmp_path_factory.mktemp("cards")
    weights, data = folder / "weights", folder / "data"
    weights.mkdir()
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
    options = {"labels": np.arange(12) % 10, "splits": ("train", "test")}
    for name in ("fashion_mnist", "mnist"):
        version = pathlib.Path(tfds.builder(name, data_dir=data).data_dir).name
        write_set(data, name, images, images.shape[1:], version=version, **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TFDS_DATA_DIR", str(data))
        patch.setattr(preset_weights, "FOLDER", weights)
        yield folder


@pytest.fixture(scope="module")
def evaluate(run_example):
    """Return a function that writes the card of a run into a folder."""

    def evaluate(run, folder):
        printed = run_example("evaluate.py --samples 3", run, "--card", folder)
        return Carded(run, printed, json.loads((folder / "VAE-mnist.json").read_text()))

    return evaluate


@pytest.fixture(scope="module")
def first(folder, run_example, evaluate):
    """A run from random weights. Its card and weights are those of the preset."""
    run_example(f"{TRAIN} --output", folder / "first")
    return evaluate(folder / "first", folder / "weights")


@pytest.fixture(scope="module")
def third(folder, first, run_example, evaluate):
    """A run that continued a second one, which continued the first."""
    second, run, cards = (folder / name for name in ("second", "third", "cards"))
    run_example(f"{TRAIN} {FASHION} --start-from weights --output", second)
    changed = "--held-out 0 --mixed-precision bfloat16 --learning-rate 0.002"
    changed += " --random-flip"
    run_example(f"{TRAIN} {changed} --output", run, "--start-from", second)
    cards.mkdir()
    return evaluate(run, cards)


def test_a_card_has_the_figures_that_are_printed(first):
    card = first.card
    assert card["images"] == 12 and card["num_samples"] == 3
    assert card["elbo"] > card["nats"] > 0
    assert f'"nats": {card["nats"]}' in first.printed


def test_a_card_says_which_images_were_used(first):
    card, data = first.card, first.run.parent / "data"
    (version,) = (path.name for path in (data / "mnist").iterdir())
    assert card["data_version"] == f"mnist/{version}"
    assert card["held_out"] == "the last 1 training images"
    assert card["training_images"] == "binarized again in each epoch"
    assert card["test_images"] == "binarized once, with seed 777"


def test_a_card_says_how_the_weights_were_trained(first):
    card = first.card
    assert "--preset VAE/mnist --epochs 1" in card["command"]
    assert card["seed"] == 0 and card["weights_of"].startswith(("epoch 1", "the end"))
    assert len(card["curve"]) == 2 and card["started_from"] is None


def test_a_card_has_the_optimizer(first):
    optimizer = first.card["optimizer"]
    assert optimizer["name"] == "Adam"
    rate = optimizer["learning_rate"]
    assert rate["schedule"] == "CosineDecay"
    np.testing.assert_allclose(rate["initial_learning_rate"], 1e-3)


def test_weights_of_a_preset_reproduce_their_card(first, run_example):
    printed = run_example("evaluate.py VAE/mnist --samples 3")
    # Measured, and of the card.
    assert printed.count(f'"nats": {first.card["nats"]}') == 2


def test_a_card_has_the_options_that_differ_from_the_recipe(first, third):
    command, second = third.card["command"], first.run.parent / "second"
    assert "--held-out 0 --mixed-precision bfloat16" in command
    assert f"--learning-rate 0.002 --start-from {second}" in command
    assert "--preset VAE/mnist --random-flip --epochs 1" in command


def test_a_card_says_how_images_were_changed_and_held_out(third):
    flipped = "epoch, half of them mirrored, drawn again"
    assert flipped in third.card["training_images"]
    assert third.card["held_out"] == "none"


def test_a_card_has_what_the_run_before_began_with(first, third):
    second = first.run.parent / "second"
    begun = third.card["started_from"]
    assert f"--preset VAE/mnist {FASHION} --epochs 1" in begun["command"]
    assert begun["command"].endswith(f"--start-from weights --output {second}")
    assert begun["curve"] == (second / "log.csv").read_text().splitlines()
    assert begun["started_from"] == first.card


@pytest.mark.parametrize(
    "change, text",
    [
        ({"start_from": "gone"}, "describes the run before.*gone"),
        ({"set": {"num_glimpses": 16}}, "as it is.*changed.*num_glimpses"),
        ({"data": {"name": "fashion_mnist"}}, "images of its preset.*fashion_mnist"),
    ],
)
def test_runs_that_a_card_cannot_describe_are_refused(
    change, text, first, run_example, tmp_path
):
    run = shutil.copytree(first.run, tmp_path / "run")
    config = json.loads((run / "config.json").read_text())
    (run / "config.json").write_text(json.dumps({**config, **change}))
    with pytest.raises(SystemExit, match=text):
        run_example("evaluate.py --card", tmp_path, run)
    assert not list(tmp_path.glob("*.json"))


def test_a_run_with_labels_becomes_the_weights_of_a_preset_with_classes(
    folder, run_example, tmp_path
):
    run, weights = tmp_path / "classes", folder / "weights"
    command = "genimg-train --preset PixelCNN/mnist --labels --epochs 1 --samples 0"
    run_example(f"{command} --output", run)
    printed = run_example(
        "evaluate.py --preset PixelCNN/mnist_classes --card", weights, run
    )
    card = preset_weights.read_card("PixelCNN", "mnist_classes")
    assert f'"nats": {card["nats"]}' in printed
    assert card["command"] == f"{command.removesuffix(' --samples 0')} --batch-size 32"

    model = PixelCNN.from_preset("mnist_classes", weights=True)
    options = {"labels": True, "likelihood": "bernoulli", "seed": TEST_SEED}
    nats = -model.log_prob(as_array(load("mnist", "test", **options))).mean()
    np.testing.assert_allclose(card["nats"], nats, rtol=1e-4)

    with pytest.raises(SystemExit, match="not trained on the images of its preset"):
        run_example("evaluate.py --preset PixelCNN/mnist", run)


def test_a_run_with_orders_becomes_the_weights_of_a_model_of_several_orders(
    folder, run_example, tmp_path
):
    run, weights = tmp_path / "orders", folder / "weights"
    command = "genimg-train --preset PixelCNN/mnist --orders --epochs 1 --samples 0"
    run_example(f"{command} --output", run)
    run_example("evaluate.py --preset OrientedModel/mnist --card", weights, run)
    card = preset_weights.read_card("OrientedModel", "mnist")
    trained = {"--preset", "--orders", "--epochs", "--batch-size"}
    assert {word for word in card["command"].split() if word[0] == "-"} == trained

    model = OrientedModel.from_preset("mnist", weights=True)
    images = as_array(load("mnist", "test", likelihood="bernoulli", seed=TEST_SEED))
    nats = -model.log_prob(images).mean()
    np.testing.assert_allclose(card["nats"], nats, rtol=1e-4)
    drawn = -model.log_prob(model.generate(768, seed=0)).mean()
    np.testing.assert_allclose(card["drawn"]["nats"], drawn, rtol=1e-4)
