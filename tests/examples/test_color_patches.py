import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from examples.color_patches import FILES, LIKELIHOODS, file_bits, make_models
from keras_genimg.datasets import as_array, load

MODELS = ("PixelCNN", "PixelRNN", "MultiScalePixelRNN")

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def test_table_report_and_pictures(run_example, tmp_path):
    command = "color_patches.py --minutes 0.1 --units 4 --output"
    printed = run_example(command, tmp_path)
    report = json.loads((tmp_path / "report.json").read_text())

    train, test = (as_array(load("photo_patches", s)) for s in ("train", "test"))
    assert (report["train_crops"], report["test_crops"]) == (len(train), len(test))
    assert report["baselines"]["uniform"] == 8
    # Value by value, for all colors at once.
    bits = 0.0
    for value in range(256):
        counts = (train == value).sum((0, 1, 2)) + 1
        p = counts / (train.size // 3 + 256)
        bits -= ((test == value).sum((0, 1, 2)) * np.log2(p)).sum() / test.size
    assert report["baselines"]["histogram of each color"] == pytest.approx(bits)
    assert 2 < report["baselines"]["WebP, lossless"] < report["baselines"]["PNG"] < 8
    assert tuple(report["models"]) == MODELS
    for row in report["models"].values():
        # Untrained models are almost uniform.
        assert 4 < row["bits_per_dim"] < 8.5
        assert row["steps"] >= 1 and row["seconds"] >= 2 and row["parameters"] > 1000
        assert 0 < row["seconds_per_step"] <= row["seconds"]
    measured = {name: row["bits_per_dim"] for name, row in report["models"].items()}
    for name, expected in {**report["baselines"], **measured}.items():
        (found,) = re.findall(rf"^{re.escape(name)} +([\d.]+)", printed, re.MULTILINE)
        assert float(found) == pytest.approx(expected, abs=1e-3)
    assert report["likelihood"] == "mixture" and report["cores"] >= 1
    assert {"tensorflow", "keras", "scikit-image"} <= report["versions"].keys()

    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == {"completions", "enlargements", "samples", "scales"}
    completions = np.asarray(Image.open(tmp_path / "completions.png"))[..., :3]
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
