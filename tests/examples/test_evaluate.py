import json
import os
import pathlib
import re

import numpy as np
import pytest
import tensorflow_datasets as tfds

from keras_genimg.commands.training_images import (
    data_facts,
    has_validation_split,
    load_splits,
)
from keras_genimg.datasets import as_array, load
from keras_genimg.likelihoods import Bernoulli
from keras_genimg.models import VAE, PixelRNN
from keras_genimg.presets import weights as preset_weights
from tests.datasets.written_sets import write_set


@pytest.mark.slow
def test_a_run_gets_a_card_that_its_weights_reproduce(
    run_example, tmp_path, monkeypatch
):
    """On images of the form of MNIST."""
    data_dir, run, weights = (tmp_path / name for name in ("data", "run", "weights"))
    weights.mkdir()
    monkeypatch.setenv("TFDS_DATA_DIR", str(data_dir))
    monkeypatch.setattr(preset_weights, "FOLDER", weights)
    images = np.random.default_rng(0).integers(0, 256, (12, 28, 28, 1), np.uint8)
    options = {"labels": [0] * 12, "splits": ("train", "test")}
    for name in ("fashion_mnist", "mnist"):
        version = pathlib.Path(tfds.builder(name, data_dir=data_dir).data_dir).name
        write_set(data_dir, name, images, images.shape[1:], version=version, **options)
    command = "genimg-train --preset VAE/mnist --epochs 1 --samples 0"
    run_example(command, "--output", run)

    printed = run_example("evaluate.py --samples 3", run, "--card", weights)
    card = preset_weights.read_card("VAE", "mnist")
    assert card["images"] == 12 and card["num_samples"] == 3
    assert card["data_version"] == f"mnist/{version}"
    assert card["elbo"] > card["nats"] > 0 and f'"nats": {card["nats"]}' in printed
    assert len(card["curve"]) == 2 and card["started_from"] is None
    assert "--preset VAE/mnist --epochs 1" in card["command"]
    assert card["held_out"] == "the last 1 training images"
    assert card["training_images"] == "binarized again in each epoch"
    assert card["test_images"] == "binarized once, with seed 777"
    assert card["seed"] == 0 and card["weights_of"].startswith(("epoch 1", "the end"))
    assert card["optimizer"]["name"] == "Adam"
    rate = card["optimizer"]["learning_rate"]
    assert rate["schedule"] == "CosineDecay"
    np.testing.assert_allclose(rate["initial_learning_rate"], 1e-3)

    printed = run_example("evaluate.py VAE/mnist --samples 3")
    assert printed.count(f'"nats": {card["nats"]}') == 2  # Measured, and of the card.

    second, third = tmp_path / "second", tmp_path / "third"
    other = "--data fashion_mnist --image-size 28"
    run_example(f"{command} {other} --start-from weights --output", second)
    changed = "--held-out 0 --mixed-precision bfloat16 --learning-rate 0.002"
    changed += " --random-flip"
    run_example(f"{command} {changed} --output", third, "--start-from", second)
    run_example("evaluate.py --samples 3", third, "--card", weights)
    last = preset_weights.read_card("VAE", "mnist")
    assert "--held-out 0 --mixed-precision bfloat16" in last["command"]
    assert f"--learning-rate 0.002 --start-from {second}" in last["command"]
    assert "--preset VAE/mnist --random-flip --epochs 1" in last["command"]
    assert "epoch, half of them mirrored, drawn again" in last["training_images"]
    assert last["held_out"] == "none"
    begun = last["started_from"]
    other = "--preset VAE/mnist --data fashion_mnist --image-size 28 --epochs 1"
    assert other in begun["command"] and begun["started_from"] == card
    assert begun["command"].endswith(f"--start-from weights --output {second}")
    assert begun["curve"] == (second / "log.csv").read_text().splitlines()

    config = json.loads((run / "config.json").read_text())
    for change, text in (
        ({"start_from": str(tmp_path / "gone")}, "describes the run before.*gone"),
        ({"set": {"num_glimpses": 16}}, "as it is.*changed.*num_glimpses"),
        ({"data": {"name": "fashion_mnist"}}, "images of its preset.*fashion_mnist"),
    ):
        (run / "config.json").write_text(json.dumps({**config, **change}))
        with pytest.raises(SystemExit, match=text):
            run_example("evaluate.py --card", weights, run)


@pytest.fixture
def binarized_mnist():
    """Skip unless the prepared data set is there, which no other one can replace."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not folder or not pathlib.Path(folder, "binarized_mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR has no prepared binarized_mnist")


@pytest.mark.slow
def test_a_validation_split_is_held_out(binarized_mnist):
    options = {"name": "binarized_mnist"}
    splits = load_splits(options, 100, None, Bernoulli())
    facts = data_facts(options, *splits)
    assert facts["train_split"] == "train" and facts["held_out_images"] == 10_000
    training, held_out, test = splits
    assert len(training) == 500 and test.shape == (10_000, 28, 28, 1)
    validation = as_array(load("binarized_mnist", "validation"))
    np.testing.assert_array_equal(held_out * np.uint8(255), validation)
    # Each epoch has the same bits, in another order.
    first, second = (as_array(training.epochs.read(n, 0)) for n in (0, 1))
    assert (first != second).any()
    np.testing.assert_array_equal(*(each.sum(0, int) for each in (first, second)))

    chosen, held_out, _ = load_splits(options, 100, 7, Bernoulli())
    assert chosen.epochs.description["split"] == "train[:49993]" and len(held_out) == 7
    for name in ("digits", pathlib.Path("photos"), "downsampled_imagenet/32x32"):
        assert not has_validation_split(name)


@pytest.mark.slow
def test_the_card_of_a_run_on_the_papers_set_says_so(
    run_example, tmp_path, monkeypatch, binarized_mnist
):
    monkeypatch.setattr(preset_weights, "FOLDER", tmp_path)
    command = "genimg-train --preset VAE/mnist --data binarized_mnist --epochs 1"
    options = "--samples 0 --test-samples 1 --output"
    run_example(f"{command} {options}", tmp_path / "run")
    run_example("evaluate.py --samples 1", tmp_path / "run", "--card", tmp_path)
    card = preset_weights.read_card("VAE", "mnist")
    assert card["data"] == {"name": "binarized_mnist"} and card["images"] == 10_000
    assert card["training_images"] == card["test_images"] == "fixed bits"
    assert card["held_out"] == "its validation split, 10,000 images"
    assert card["license"].startswith("MNIST: CC BY-SA 3.0")
    assert "--preset VAE/mnist --data binarized_mnist --epochs 1" in card["command"]
    assert 90 < card["nats"] < 784 * np.log(2)  # Those of random bits.

    printed = run_example("evaluate.py VAE/mnist --samples 1 --images 100")
    test = as_array(load("binarized_mnist", "test[:100]", likelihood=Bernoulli()))
    model = VAE.from_preset("mnist", weights=True)
    nats = -model.log_prob(test, num_samples=1, seed=777, batch_size=100).mean()
    found = re.search(r'"nats": ([\d.]+)', printed)[1]
    np.testing.assert_allclose(float(found), nats, rtol=1e-5)


@pytest.mark.slow
def test_the_papers_set_and_drawn_images_are_added_to_a_card(
    run_example, tmp_path, monkeypatch
):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    images = np.random.default_rng(0).integers(0, 2, (12, 28, 28, 1), np.uint8)
    write_set(tmp_path, "binarized_mnist", images, (28, 28, 1), splits=("test",))
    preset = "PixelRNN/mnist_diagonal_1x32"
    command = f"evaluate.py {preset} --data binarized_mnist --card"
    printed = run_example(command, tmp_path)
    card = json.loads((tmp_path / "PixelRNN-mnist_diagonal_1x32.json").read_text())
    before = preset_weights.read_card(*preset.split("/"))
    assert card.keys() == before.keys() and card["nats"] == before["nats"]

    model = PixelRNN.from_preset("mnist_diagonal_1x32", weights=True)
    found = card["binarized_mnist"]
    expected = -model.log_prob(images, verbose=0).mean()
    np.testing.assert_allclose(found["nats"], expected, rtol=1e-5)
    assert found["images"] == 12 and f'"nats": {found["nats"]}' in printed

    # That the sampler draws from the model, which random images would not pass.
    drawn = card["drawn"]
    assert drawn["images"] == 768
    error = drawn["nats_minus_entropies_standard_error"]
    assert 0.1 < error < 0.5 and abs(drawn["nats_minus_entropies"]) < 4 * error
    np.testing.assert_allclose(drawn["nats"], before["drawn"]["nats"], atol=0.1)
