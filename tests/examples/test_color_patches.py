import io
import json
import pathlib
import re
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

from examples.color_patches import FILES, LIKELIHOODS, file_bits, make_models
from keras_genimg.datasets import as_array, load

MODELS = ("PixelCNN", "PixelRNN", "MultiScalePixelRNN")

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


class Run(NamedTuple):
    """A short run of the example."""

    folder: pathlib.Path
    printed: str
    report: dict[str, Any]


@pytest.fixture(scope="module")
def run(run_example, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    command = "color_patches.py --minutes 0.1 --units 4 --output"
    printed = run_example(command, folder)
    return Run(folder, printed, json.loads((folder / "report.json").read_text()))


@pytest.fixture(scope="module")
def crops():
    """Training and test crops."""
    return [as_array(load("photo_patches", split)) for split in ("train", "test")]


def test_the_report_says_what_was_run(run, crops):
    train, test = crops
    assert run.report["train_crops"] == len(train)
    assert run.report["test_crops"] == len(test)
    assert run.report["likelihood"] == "mixture" and run.report["cores"] >= 1
    assert {"tensorflow", "keras", "scikit-image"} <= run.report["versions"].keys()


def test_baselines_know_the_colors_or_nothing(run, crops):
    train, test = crops
    # Value by value, for all colors at once.
    bits = 0.0
    for value in range(256):
        counts = (train == value).sum((0, 1, 2)) + 1
        p = counts / (train.size // 3 + 256)
        bits -= ((test == value).sum((0, 1, 2)) * np.log2(p)).sum() / test.size
    baselines = run.report["baselines"]
    assert baselines["uniform"] == 8
    assert baselines["histogram of each color"] == pytest.approx(bits)


def test_webp_takes_less_than_png(run):
    baselines = run.report["baselines"]
    assert 2 < baselines["WebP, lossless"] < baselines["PNG"] < 8


def test_models_that_were_hardly_trained_are_almost_uniform(run):
    assert tuple(run.report["models"]) == MODELS
    for row in run.report["models"].values():
        assert 4 < row["bits_per_dim"] < 8.5


def test_every_model_was_trained_and_timed(run):
    for row in run.report["models"].values():
        assert row["steps"] >= 1 and row["seconds"] >= 2 and row["parameters"] > 1000
        assert 0 < row["seconds_per_step"] <= row["seconds"]


def test_the_table_has_the_figures_of_the_report(run):
    models = run.report["models"].items()
    figures = {name: row["bits_per_dim"] for name, row in models}
    for name, expected in {**run.report["baselines"], **figures}.items():
        pattern = rf"^{re.escape(name)} +([\d.]+)"
        (found,) = re.findall(pattern, run.printed, re.MULTILINE)
        assert float(found) == pytest.approx(expected, abs=1e-3)


def test_completions_are_marked_in_blue(run):
    pictures = {path.stem for path in run.folder.glob("*.png")}
    assert pictures == {"completions", "enlargements", "samples", "scales"}
    completions = np.asarray(Image.open(run.folder / "completions.png"))[..., :3]
    blue = (completions == (120, 165, 215)).all(axis=-1)
    assert blue.sum() >= 8 * 16 * 32 * 2**2  # Eight lower halves, pixels 2 by 2.


def test_models_of_a_softmax():
    models = make_models(LIKELIHOODS["categorical"], 3)
    assert tuple(models) == MODELS
    for model in models.values():
        assert model.output_shape == (None, 32, 32, 3, 256)


def test_files_hold_the_crops():
    """PNG and WebP are lossless as the example calls them."""
    test = as_array(load("photo_patches", "test[:3]"))
    for options in FILES.values():
        size = 0
        for image in test:
            file = io.BytesIO()
            Image.fromarray(image).save(file, **options)
            size += len(file.getvalue())
            decoded = np.asarray(Image.open(file).convert("RGB"))
            np.testing.assert_array_equal(decoded, image)
        assert file_bits(test, **options) == 8 * size / (3 * 32 * 32 * 3)
