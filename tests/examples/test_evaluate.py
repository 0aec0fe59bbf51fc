import json
import os
import pathlib
import re

import numpy as np
import pytest

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
from tests.subprocesses import ROOT


@pytest.fixture
def binarized_mnist():
    """Skip unless the prepared data set is there, which no other one can replace."""
    folder = os.environ.get("TFDS_DATA_DIR")
    if not folder or not pathlib.Path(folder, "binarized_mnist").is_dir():
        pytest.skip("TFDS_DATA_DIR has no prepared binarized_mnist")


def test_a_command_has_the_options_of_the_data(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "examples")
    from evaluate import command_of

    data = {"name": "photos", "color_mode": "rgb", "random_flip": "True"}
    command = command_of({"preset": "PixelCNN/photo_patches", "data": data})
    assert "--data photos --color-mode rgb --random-flip" in command


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
