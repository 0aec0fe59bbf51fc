import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from genimg_export.metadata import read_metadata
from keras_genimg.commands import best_epoch, train, training_images
from keras_genimg.datasets import as_array, load
from keras_genimg.likelihoods import (
    Bernoulli,
    Categorical,
    DiscretizedLogisticMixture,
    Gaussian,
)
from keras_genimg.models import OrientedModel, PixelCNN
from keras_genimg.visualization import image_grid
from tests.commands.image_folders import holds, write_images
from tests.subprocesses import SOURCES, run_python


def read_json(path):
    return json.loads(pathlib.Path(path).read_text())


@pytest.fixture
def train_here(run_example, tmp_path, monkeypatch):
    """Return a function that trains, in a folder for the images and the runs."""
    monkeypatch.chdir(tmp_path)
    return lambda command: run_example(f"genimg-train {command}")


DIGITS = "--preset VAE/digits --epochs 2 --test-samples 3 --output run"


@pytest.fixture(scope="module")
def digits_run(run_example, tmp_path_factory):
    """Folder of a run on the digits, which nobody changes."""
    folder = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_example(f"genimg-train {DIGITS}")
    return folder / "run"


@pytest.mark.slow
def test_a_run_reports_what_it_was_trained_and_tested_on(digits_run):
    report = read_json(digits_run / "report.json")
    assert report["preset"] == "VAE/digits" and report["data_version"] == "digits"
    assert report["train_split"] == "train[:1348]" and report["held_out_images"] == 149
    assert report["images"] == report["test_images"] == 300


@pytest.mark.slow
def test_a_run_reports_its_likelihood(digits_run):
    report = read_json(digits_run / "report.json")
    assert 0 < report["nats"] < 64 and 0 < report["nats_standard_error"] < 1
    assert report["elbo"] > report["nats"] and report["num_samples"] == 3


@pytest.mark.slow
def test_a_run_writes_its_model_samples_and_log(digits_run):
    for name in ("config.json", "model.keras", "samples/epoch_0002.png"):
        assert (digits_run / name).stat().st_size > 0
    assert len((digits_run / "log.csv").read_text().splitlines()) == 3


@pytest.mark.slow
def test_a_finished_run_is_not_trained_again(digits_run, train_here):
    shutil.copytree(digits_run, "run")
    output = train_here(DIGITS)
    assert "All 2 epochs are trained already." in output and "Epoch 3/" not in output
    nats = read_json(digits_run / "report.json")["nats"]
    assert read_json("run/report.json")["nats"] == nats


@pytest.mark.slow
def test_a_run_with_other_arguments_is_refused(digits_run, train_here):
    shutil.copytree(digits_run, "run")
    with pytest.raises(SystemExit, match="a run with --epochs 2. Use.*with --epochs 3"):
        train_here("--preset VAE/digits --epochs 3 --output run")
    assert read_json("run/config.json")["epochs"] == 2


@pytest.mark.slow
def test_a_run_continues_another_with_other_settings(digits_run, train_here):
    train_here(
        "--preset VAE/digits --epochs 1 --samples 0 --learning-rate 0.002 "
        f"--set weight_stddev=0.02 --start-from {digits_run} --output on"
    )
    config = read_json("on/config.json")
    assert config["learning_rate"] == 0.002 and config["set"] == {"weight_stddev": 0.02}
    model = keras.models.load_model("on/model.keras")
    assert model.get_config()["weight_stddev"] == 0.02
    rate = model.optimizer.get_config()["learning_rate"]["config"]
    assert np.isclose(rate["initial_learning_rate"], 0.002)
    before = read_json(digits_run / "report.json")["nats"]
    assert read_json("on/report.json")["nats"] < before


@pytest.mark.slow
@pytest.mark.parametrize(
    "preset, start, text",
    [
        ("VAE/mnist_50", None, "has other weights than mnist_50"),
        ("VAE/digits", "weights", "--start-from weights cannot be loaded"),
    ],
)
def test_weights_that_do_not_fit_are_refused(
    preset, start, text, digits_run, train_here
):
    options = f"--preset {preset} --data digits --start-from {start or digits_run}"
    with pytest.raises(SystemExit, match=text):
        train_here(f"{options} --output no")
    assert not pathlib.Path("no").exists()


@pytest.mark.slow
def test_a_folder_of_images_becomes_a_served_model(train_here, tmp_path):
    """Also under a strategy, in mixed precision."""
    write_images(tmp_path / "images", 20, size=(6, 5), colors=3)
    train_here(
        "--preset PixelCNN/digits --data ./images --epochs 1 --image-size 4 "
        "--batch-size 8 --samples 4 --output run --strategy mirrored "
        "--mixed-precision bfloat16 --set units=4 --set num_blocks=1 --export served"
    )
    report = read_json("run/report.json")
    assert report["data"] == {"name": "images", "image_size": "4"}
    assert report["images"] == 2 and np.isfinite(report["nats"])
    assert report["data_version"] == "images" and report["test_images"] == 2
    with Image.open("run/samples/epoch_0001.png") as picture:
        assert picture.mode == "RGB"
    sample = tf.saved_model.load("served/run/1").signatures["sample"]
    drawn = sample(seed=tf.constant([0, 1], tf.int64))["images"]
    model = keras.models.load_model("run/model.keras")
    expected = model.likelihood.to_display(model.generate(2, seed=0))
    np.testing.assert_array_equal(drawn, expected)


@pytest.mark.slow
def test_ctrl_c_says_how_to_continue(tmp_path):
    command = "--preset VAE/digits --epochs 100000 --samples 0 --output run"
    quiet = {"PYTHONPATH": SOURCES, "TF_CPP_MIN_LOG_LEVEL": ""}
    with open(tmp_path / "errors", "w") as errors:
        process = subprocess.Popen(
            [sys.executable, "-m", "genimg_export.train", *command.split()],
            cwd=tmp_path,
            env={**os.environ, **quiet},
            stdout=subprocess.DEVNULL,
            stderr=errors,
        )
    try:
        while process.poll() is None and not (tmp_path / "run" / "log.csv").exists():
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert process.wait(300) == 130
    finally:
        process.kill()
        process.wait()
    told = "\nStopped. Run the same command to continue.\n"
    assert (tmp_path / "errors").read_text() == told


class ColorRun(NamedTuple):
    """A run on a folder of color images."""

    folder: pathlib.Path  # It holds `images`, and the run as `run`.
    printed: str


@pytest.fixture(scope="module")
def color_run(run_example, tmp_path_factory):
    folder = tmp_path_factory.mktemp("colors")
    write_images(folder / "images", 20, size=(9, 10), colors=3)
    Image.new("RGB", (70, 40), (1, 2, 3)).save(folder / "images" / "other.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        printed = run_example(
            "genimg-train --data ./images --epochs 1 --samples 0 --output run "
            "--set units=4 --set num_blocks=1"
        )
    return ColorRun(folder, printed)


@pytest.mark.slow
def test_a_color_folder_alone_keeps_all_levels(color_run):
    images = "Images: 21 of images, 32x32, color, resized, all 256 levels"
    assert images in color_run.printed and "ounded" not in color_run.printed
    report = read_json(color_run.folder / "run" / "report.json")
    assert "Mixture(num_values=256" in report["likelihood"]


@pytest.mark.slow
def test_a_run_prints_its_steps_and_what_to_do_next(color_run):
    assert color_run.printed.startswith("[1/5] Starting TensorFlow")
    assert not (color_run.folder / "run" / "pictures").exists()  # By --samples 0.
    for text in (
        "Model: PixelCNN/photo_patches, DiscretizedLogisticMixture(",
        "Training: 1 epochs",
        "genimg-serve --base-dir served",
        "What to try next: train twice as long with --epochs 2",
    ):
        assert text in color_run.printed


@pytest.mark.slow
def test_a_run_keeps_its_best_weights_and_leaves_the_images(color_run):
    assert (color_run.folder / "run" / "best.weights.h5").exists()
    with Image.open(color_run.folder / "images" / "other.png") as original:
        assert original.size == (70, 40)


@pytest.mark.slow
def test_a_color_folder_begins_with_trained_weights(train_here, tmp_path):
    write_images(tmp_path / "images", 20, size=(9, 10), colors=3)
    printed = train_here(
        "--data ./images --samples 0 --learning-rate 1e-9 --epochs 1 --output run"
    )
    assert "Model: PixelCNN/cifar10_small, Disc" in printed
    assert "from its trained weights" in printed
    found = keras.models.load_model("run/model.keras").get_weights()
    trained = PixelCNN.from_preset("cifar10_small", weights=True).get_weights()
    for weight, expected in zip(found, trained, strict=True):
        np.testing.assert_allclose(weight, expected, atol=1e-5)


@pytest.mark.slow
def test_a_mixed_folder_is_trained_in_one_color_mode(train_here, tmp_path):
    """The run is not continued in another one."""
    write_images(tmp_path / "images" / "colors", 20, size=(6, 5), colors=3)
    write_images(tmp_path / "images" / "grays", 10, size=(6, 5))
    command = "--data ./images --epochs 1 --samples 0 --output run --set units=4 "
    command += "--set num_blocks=1 --set first_kernel_size=11"
    with pytest.raises(SystemExit, match="--color-mode rgb"):
        train_here(command)
    printed = train_here(f"{command} --color-mode grayscale")
    assert "Images: 30 of images, 6x5, gray," in printed
    assert "Subfolders: colors, grays. Add --labels to" in printed
    config = read_json("run/config.json")
    assert config["data"] == {"name": "images", "color_mode": "grayscale"}
    with pytest.raises(SystemExit, match="run with --color-mode gray.*color-mode rgb"):
        train_here(f"{command} --color-mode rgb")


class ClassesRun(NamedTuple):
    """A run on dark images in one folder, light ones in another."""

    folder: pathlib.Path  # It holds `images`, the run as `run`, and its export.
    printed: str


@pytest.fixture(scope="module")
def classes_run(run_example, tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    write_classes(folder / "images")
    options = "--data ./images --set units=4 --set num_blocks=1 --samples 5 --epochs 8"
    train = f"genimg-train {options} --learning-rate 0.03"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        run_example(f"{train} --output plain")
        labels = "--labels --start-from plain --output run --export served"
        return ClassesRun(folder, run_example(f"{train} {labels}"))


@pytest.mark.slow
def test_subfolders_become_classes(classes_run):
    folder, printed = classes_run
    assert "Classes: 2, dark, light" in printed and "Subfolders" not in printed
    assert "genimg-client --model run sample --label dark" in printed
    assert re.search(r"Weights: 16 are loaded, 2 are new: class_embedding/", printed)
    config = read_json(folder / "run" / "config.json")
    assert config["class_names"] == ["dark", "light"]
    assert config["data"]["labels"] == "True"
    with Image.open(folder / "run" / "samples" / "epoch_0008.png") as picture:
        assert picture.size[0] < picture.size[1] * 1.2  # Two rows of two images.
    model = keras.models.load_model(folder / "run" / "model.keras")
    test = as_array(load(folder / "images", "test", labels=True))
    images, label = test["images"] // 255, test["label"]
    right, wrong = (model.log_prob([images, x]).mean() for x in (label, 1 - label))
    assert right > wrong + 0.1
    report = read_json(folder / "run" / "report.json")
    assert report["test_images"] == len(images) == 6
    found = report["labels"]
    np.testing.assert_allclose(found["nats"], right - wrong, rtol=1e-5)
    assert f"a test image is {found['nats']:.1f} nats likelier with its own" in printed


@pytest.mark.slow
def test_a_run_on_a_folder_ends_with_pictures(classes_run):
    folder, printed = classes_run
    pictures = folder / "run" / "pictures"
    found = {path.name for path in pictures.iterdir()}
    assert found == {"samples.png", "completions.png", "easiest_and_hardest.png"}
    assert (
        f"Pictures of the trained model, in {pathlib.Path('run/pictures')}:" in printed
    )
    assert "the 6 held-out images that the model finds most likely" in printed
    assert all(f"  {name}: " in printed for name in found)
    assert "samples.png: 4 generated images, a row for each of dark, light" in printed

    model = keras.models.load_model(folder / "run" / "model.keras")
    options = {"likelihood": "bernoulli", "binarize": "fixed", "labels": True}
    held_out = as_array(load(folder / "images", "validation", **options))
    images, labels = held_out["images"], held_out["label"]
    order = np.argsort(-model.log_prob(held_out))
    with Image.open(pictures / "easiest_and_hardest.png") as picture:
        for chosen in (order, order[::-1]):
            shown = image_grid(images[chosen] * 255, columns=5, scale=10)
            assert holds(picture, shown)
    with Image.open(pictures / "completions.png") as picture:
        known = np.arange(36).reshape(6, 6) < 18
        four = images.repeat(4, axis=0)
        labels = labels.repeat(4)
        completed = model.complete(four, known, seed=0, conditions=labels)
        assert holds(picture, image_grid(completed * 255, columns=4, scale=10))
        assert holds(picture, image_grid(images * 255, columns=1, scale=10))
    with Image.open(pictures / "samples.png") as picture:
        drawn = model.generate(4, seed=0, conditions=[0, 0, 1, 1])
        shown = image_grid(drawn * 255, columns=2, scale=2)
        np.testing.assert_array_equal(np.asarray(picture), shown)


@pytest.mark.slow
def test_a_class_is_generated_by_the_name_of_its_subfolder(classes_run, tmp_path):
    """The name goes into the model, its export and the answers of a server."""
    from tests.export.running_server import running

    folder, _ = classes_run
    model = keras.models.load_model(folder / "run" / "model.keras")
    assert model.class_names == ("dark", "light")
    served = folder / "served"
    assert read_metadata(served / "run" / "1")["class_names"] == ["dark", "light"]
    with running(tmp_path, "--base-dir", served) as server:
        command = "--model run sample --num-images 4 --label light --output light"
        at = ("genimg_export.client", "--url", server.address)
        run_python("-m", *at, *command.split(), cwd=tmp_path)
    files = [tmp_path / "light" / f"{seed}.png" for seed in range(4)]
    drawn = np.stack([np.asarray(Image.open(file)) for file in files])
    expected = model.generate(4, seed=0, conditions=[1] * 4)
    np.testing.assert_array_equal(drawn, expected[..., 0] * 255)
    assert drawn.mean() > 128


def write_classes(folder):
    """Write black and white images, dark ones in one folder, light ones in another."""
    for name, share in (("dark", 0.1), ("light", 0.9)):
        (folder / name).mkdir(parents=True)
        drawn = np.random.default_rng(0).random((30, 6, 6)) < share
        for index, image in enumerate(drawn * np.uint8(255)):
            Image.fromarray(image).save(folder / name / f"{index}.png")


SMALL = "--data ./images --set units=4 --set num_blocks=1 --samples 4"


@pytest.fixture(scope="module")
def oriented_run(run_example, tmp_path_factory):
    """Folder of `images` in two classes, and of the runs `plain` and `run`.

    The second has orders, and begins with the weights of the first.
    """
    folder = tmp_path_factory.mktemp("oriented")
    write_classes(folder / "images")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        options = f"{SMALL} --epochs 3 --learning-rate 0.03"
        run_example(f"genimg-train {options} --output plain")
        printed = run_example(
            f"genimg-train {options} --orders --start-from plain --output run "
            f"--export served"
        )
    (folder / "printed").write_text(printed)
    return folder


@pytest.mark.slow
def test_orders_become_an_oriented_model(oriented_run):
    model = keras.models.load_model(oriented_run / "run" / "model.keras")
    assert isinstance(model, OrientedModel) and model.orders == tuple(range(8))
    report = read_json(oriented_run / "run" / "report.json")
    assert report["orders"] is True and report["preset"] == "PixelCNN/photo_patches"
    test = as_array(load(oriented_run / "images", "test")) // 255
    nats = -model.log_prob(test)
    assert np.isclose(report["nats"], nats.mean(), atol=1e-3)
    assert report["nats"] < -model.log_prob(test, orders=3).mean() - 1e-4


@pytest.mark.slow
def test_orders_begin_with_the_weights_of_one_order(oriented_run):
    printed = (oriented_run / "printed").read_text()
    assert re.search(r"Weights: 16 are loaded, 2 are new: order_embedding/", printed)
    plain = keras.models.load_model(oriented_run / "plain" / "model.keras")
    held_out = as_array(load(oriented_run / "images", "validation")) // 255
    turned = [held_out[:, ::down, ::right] for down in (1, -1) for right in (1, -1)]
    turned += [images.transpose(0, 2, 1, 3) for images in turned]
    nats = [plain.log_prob(images) for images in turned]
    expected = -np.log(np.exp(nats).mean(axis=0)).mean()
    start = read_json(oriented_run / "run" / "start.json")["val_loss"]
    assert np.isclose(start, expected, rtol=1e-5)


@pytest.mark.slow
def test_a_model_with_orders_is_served(oriented_run):
    loaded = tf.saved_model.load(oriented_run / "served" / "run" / "1")
    known = np.zeros((2, 6, 6), "int32")
    known[0, :, 3:] = known[1, 3:] = 1
    completed = loaded.signatures["complete"](
        images=tf.zeros((2, 6, 6, 1), tf.int32),
        known=tf.constant(known),
        seed=tf.constant([0, 1], tf.int64),
    )
    assert completed["order"].numpy().tolist() == [5, 2]


@pytest.mark.slow
def test_orders_take_labels_and_a_start(oriented_run, train_here):
    shutil.copytree(oriented_run / "images", "images")
    options = f"{SMALL} --epochs 1 --orders --labels"
    printed = train_here(f"{options} --start-from {oriented_run / 'run'} --output run")
    assert "Weights: 18 are loaded, 1 are new: class_embedding/embeddings" in printed
    model = keras.models.load_model("run/model.keras")
    assert [tensor.name for tensor in model.inputs] == ["images", "label"]
    assert model.generate(2, conditions=[0, 1], seed=0).shape == (2, 6, 6, 1)
    assert np.isfinite(read_json("run/report.json")["nats"])


@pytest.mark.slow
def test_a_preset_of_orders_continues_a_run_with_orders(oriented_run, train_here):
    """And takes labels. Its network is that of the run."""
    shutil.copytree(oriented_run / "images", "images")
    network = "--set units=4 --set num_blocks=1 --set first_kernel_size=11"
    options = f"--preset OrientedModel/mnist --data ./images {network} --samples 4"
    options = f"{options} --epochs 1 --labels --set head_filters=64"
    printed = train_here(f"{options} --start-from {oriented_run / 'run'} --output run")
    assert "Weights: 18 are loaded, 1 are new: class_embedding" in printed
    model = keras.models.load_model("run/model.keras")
    assert model.orders == tuple(range(8)) and model.class_names == ("dark", "light")
    assert read_json("run/report.json")["preset"] == "OrientedModel/mnist"


@pytest.mark.slow
def test_a_run_without_orders_is_not_continued_with_them(oriented_run, train_here):
    for name in ("images", "plain"):
        shutil.copytree(oriented_run / name, name)
    command = f"{SMALL} --epochs 3 --learning-rate 0.03 --output plain --orders"
    with pytest.raises(
        SystemExit, match="holds a run without --orders. Use.*a run with --orders"
    ):
        train_here(command)


@pytest.mark.slow
def test_killed_training_of_orders_ends_with_the_same_weights(oriented_run, tmp_path):
    shutil.copytree(oriented_run / "images", tmp_path / "images")
    command = f"{SMALL} --epochs 6 --orders --batch-size 4 --save-every 1"

    def started(output):
        return subprocess.Popen(
            [sys.executable, "-m", "genimg_export.train", *command.split()]
            + ["--output", output],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": SOURCES},
            stdout=subprocess.DEVNULL,
        )

    log = tmp_path / "killed" / "log.csv"
    process = started("killed")
    try:
        while process.poll() is None:
            if log.exists() and len(log.read_text().splitlines()) > 2:
                break
            time.sleep(0.01)
    finally:
        process.kill()
    assert process.wait() == -signal.SIGKILL
    for output in ("killed", "whole"):
        assert started(output).wait(300) == 0
    found, expected = (
        keras.models.load_model(tmp_path / output / "model.keras").get_weights()
        for output in ("killed", "whole")
    )
    np.testing.assert_equal(found, expected)


def test_a_model_with_labels_begins_as_the_one_without():
    other = PixelCNN((4, 4, 1), 3, 1, head_filters=4)
    model = PixelCNN((4, 4, 1), 3, 1, head_filters=4, num_classes=2)
    text = train.set_fitting_weights(model, other)
    new = "class_embedding/embeddings, layer_0/project/kernel"
    assert text.endswith(f"2 are new: {new}")
    images = np.random.default_rng(0).integers(2, size=(4, 4, 4, 1)).astype("uint8")
    for label in (0, 1):
        nats = model.log_prob([images, np.full(4, label)])
        np.testing.assert_allclose(nats, other.log_prob(images), rtol=1e-5)
    # With another number of classes, what is known of the others stays.
    third = PixelCNN((4, 4, 1), 3, 1, head_filters=4, num_classes=3)
    model.get_layer("layer_0").set_weights(
        [weight + 1 for weight in model.get_layer("layer_0").get_weights()]
    )
    assert train.set_fitting_weights(third, model).endswith(
        "1 are new: class_embedding/embeddings"
    )
    for layer in ("layer_0", "logits"):
        found, expected = (m.get_layer(layer).get_weights() for m in (third, model))
        np.testing.assert_equal(found, expected)


def test_a_model_of_several_orders_begins_as_the_one_of_one():
    other = PixelCNN((4, 4, 1), 3, 1, head_filters=4)
    network = PixelCNN((4, 4, 1), 3, 1, head_filters=4, num_classes={"order": 8})
    model = OrientedModel(network, condition="order")
    text = train.set_fitting_weights(model, other)
    new = "order_embedding/embeddings, layer_0/project/kernel"
    assert text.endswith(f"2 are new: {new}")
    images = np.random.default_rng(0).integers(2, size=(4, 4, 4, 1)).astype("uint8")
    nats = -model.log_prob(images, orders=1)
    np.testing.assert_allclose(nats, -other.log_prob(images[:, :, ::-1]), rtol=1e-5)
    again = OrientedModel(network, condition="order")
    assert train.set_fitting_weights(again, model).endswith("18 are loaded, 0 are new")


def test_a_picture_of_samples_has_a_row_for_each_class():
    labels, columns = train.labels_of_samples(9, 4)
    assert columns == 2 and labels.tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    labels, columns = train.labels_of_samples(3, 4)
    assert columns == 1 and labels.tolist() == [0, 1, 2]


def test_pixels_decide_their_likelihood():
    likelihood = training_images.fitting_likelihood
    digits = as_array(load("digits", "test"))
    black_and_white = np.where(digits > 99, 255, 0).astype("uint8")
    assert likelihood(black_and_white) == Bernoulli()
    assert likelihood(digits) == Categorical(17)
    assert likelihood(digits // 2) == DiscretizedLogisticMixture(256)
    colors = black_and_white.repeat(3, axis=-1)
    assert likelihood(colors) == DiscretizedLogisticMixture(256)


def test_small_images_keep_their_size(tmp_path):
    """Hidden and broken files do not count."""
    folder = write_images(tmp_path / "small", 3, (8, 30))
    write_images(folder / ".thumbnails", 1, (4, 15))  # Hidden, which `load` leaves out.
    broken = bytearray((folder / "000.png").read_bytes())
    broken[33:37] = (10).to_bytes(4, "big")  # The pixels end after ten bytes,
    broken[59:63] = bytes(4)  # and what follows has no name.
    (folder / "broken.png").write_bytes(broken)
    assert training_images.fitting_size(folder) is None


def test_large_images_are_scaled_with_their_proportions(tmp_path):
    folder = write_images(tmp_path / "large", 3, (40, 80))
    assert training_images.fitting_size(folder) == (16, 32)
    write_images(folder / "other", 1, (40, 81))
    assert training_images.fitting_size(folder) == (32, 32)


def test_subfolders_that_could_be_classes_are_named(tmp_path):
    notice = training_images.subfolders_notice
    write_images(tmp_path / "dog", 1)
    assert not notice({"name": tmp_path})  # One class is none.
    write_images(tmp_path / "cat" / "at home", 1)
    (tmp_path / "empty").mkdir()
    line = (
        "Subfolders: cat, dog. Add --labels to train a model that draws images of each."
    )
    assert notice({"name": tmp_path}) == f"{line}\n"
    assert not notice({"name": tmp_path, "labels": True})
    for index in range(10):
        write_images(tmp_path / f"e{index}", 1)
    assert "dog, e0, e1, e2, e3, e4, e5, e6, e7 and 2 more. Add" in notice(
        {"name": tmp_path}
    )
    write_images(tmp_path / "dog" / "new", 1)
    (tmp_path / "dog" / "000.png").rename(tmp_path / "000.png")
    assert not notice({"name": tmp_path})  # `--labels` would refuse it.
    assert not notice({"name": "digits"})
    assert not notice({"name": tmp_path / "frey_rawface.mat"})


def test_an_image_lies_as_its_camera_says(tmp_path):
    exif = Image.Exif()
    exif[training_images.ORIENTATION] = 6  # The top row was the right side.
    Image.new("L", (80, 40)).save(tmp_path / "turned.png", exif=exif)
    assert training_images.fitting_size(tmp_path) == (32, 16)


@pytest.mark.parametrize(
    "bits, text",
    [
        (
            {1: 3, 2: 2.5, 3: 2},
            "with --epochs 6 --output run_longer. .* in the last epoch, .* from 2.500 "
            "to 2.000 bits",
        ),
        ({1: 2, 2: 1, 3: 3}, r"after epoch 2 of 3 \(1.000 .* 3.000 at the end\)"),
        ({1: 3, 2: 2.0001, 3: 2}, "larger model. .* to 2.000 .* has settled"),
        ({0: 1, 1: 3, 2: 2, 3: 1.5}, "lower --learning-rate.* 1.500 at the end"),
        ({0: 3, 3: 2}, "with --epochs 6"),
        ({}, "more images, so that --held-out"),
        ({1: 3, 2: 2}, "lower --learning-rate. Training diverged after epoch 2"),
    ],
)
def test_what_to_try_next(bits, text):
    losses = {epoch: 64 * np.log(2) * each for epoch, each in bits.items()}
    assert re.search(text, best_epoch.what_to_try(losses, 3, "run", 64))
    assert "too short to judge" in best_epoch.what_to_try({1: 2.0}, 1, "run", 64)


@pytest.mark.parametrize("rate, ends_worse", [(0.003, False), (0.5, True)])
@pytest.mark.slow
def test_the_start_is_epoch_0_and_kept_if_it_is_best(
    rate, ends_worse, digits_run, train_here
):
    """Also by a model whose loss has noise; a killed run has the same noise again."""
    command = f"--preset VAE/digits --epochs 1 --samples 0 --start-from {digits_run}"
    printed = train_here(f"{command} --output on --learning-rate {rate}")
    score = read_json("on/start.json")["val_loss"]
    assert f"Epoch 0/1, before training - val_loss: {score:.4f}" in printed
    model = keras.models.load_model("on/model.keras")
    started = keras.models.load_model(digits_run / "model.keras").get_weights()
    kept = "the start, best for held-out images"
    if ends_worse:
        assert f"Kept: the weights of {kept}." in printed
        np.testing.assert_equal(model.get_weights(), started)
    assert (read_json("on/report.json")["weights_of"] == kept) is ends_worse
    assert len(pathlib.Path("on/log.csv").read_text().splitlines()) == 2

    # Killed after the score, before the first state.
    pathlib.Path("killed").mkdir()
    for name in ("start.json", "best.weights.h5"):
        shutil.copy(f"on/{name}", "killed")
    printed = train_here(f"{command} --output killed --learning-rate {rate}")
    assert "Epoch 0/" not in printed
    logs = (pathlib.Path(each, "log.csv").read_text() for each in ("on", "killed"))
    assert len(set(logs)) == 1
    again = keras.models.load_model("killed/model.keras").get_weights()
    np.testing.assert_equal(again, model.get_weights())


@pytest.mark.slow
def test_the_best_epoch_is_kept(tmp_path, capsys):
    held_out = np.random.default_rng(0).integers(2, size=(4, 4, 4, 1)).astype("uint8")
    model = PixelCNN((4, 4, 1), 2, 1)
    model.compile("adam")
    best_epoch.keep_best(model, held_out, tmp_path)  # No images were held out.
    trained = model.get_weights()
    model.set_weights([weight + 1 for weight in trained])
    model.save_weights(tmp_path / "best.weights.h5")
    best = model.get_weights()
    # By the log, the best epoch was worse than the end of training, or better.
    for loss, expected in ((99.0, trained), (0.0, best)):
        model.set_weights(trained)
        (tmp_path / "log.csv").write_text(f"epoch,val_loss\n0,{loss}\n1,99.0\n")
        best_epoch.keep_best(model, held_out, tmp_path)
        np.testing.assert_equal(model.get_weights(), expected)
    model.set_weights([weight * np.nan for weight in trained])  # It diverged.
    (tmp_path / "log.csv").write_text("epoch,val_loss\n0,99.0\n1,nan\n")
    best_epoch.keep_best(model, held_out, tmp_path)
    np.testing.assert_equal(model.get_weights(), best)
    assert "weights of epoch 1" in capsys.readouterr().out


def test_rounding_is_announced():
    notice = training_images.rounding_notice
    digits = load("digits", "test", batch_size=100)
    assert not notice(digits, Categorical(17)) and not notice(digits, Gaussian())
    gray = tf.reshape(tf.range(256), (1, 16, 16, 1))
    black_and_white = tf.where(gray > 99, 255, 0)
    assert not notice([gray], Categorical(256))
    both = [black_and_white, gray]  # The first batch fits.
    assert "rounds your pixels to 17 levels" in notice(both, Categorical(17))
    assert "black or white at random" in notice(both, Bernoulli())
    assert not notice([black_and_white], Bernoulli())


def test_presets_are_listed(run_example):
    printed = run_example("genimg-train", "--list")
    assert "PixelRNN/mnist_diagonal_7x16 (weights)" in printed
    assert "DRAW/svhn " in printed.replace("\n", " ")


def test_the_help_names_the_command():
    printed = run_python("-m", "genimg_export.train", "--help")
    assert "usage: genimg-train" in printed and "train.py" not in printed
