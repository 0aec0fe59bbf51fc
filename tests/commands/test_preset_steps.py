"""Each preset is trained for one step, on images of the form of its data set.

The images are random, but come from a data set of tensorflow_datasets that is written
for the purpose, or from files, by the way that `genimg-train` takes. They are
small, unless the environment variable OWN_SIZE is set.
"""

import os
import pathlib
import types

import numpy as np
import pytest

from genimg_export.train import image_source
from keras_genimg import likelihoods, models
from keras_genimg.commands.training_images import (
    image_options,
    load_splits,
    size_options,
)
from keras_genimg.presets import FAMILIES
from tests.commands.image_folders import random_images, write_images
from tests.datasets.written_sets import write_set

pytestmark = [pytest.mark.slow, pytest.mark.weekly]


def write_data(preset, folder):
    """Write images of a preset's form; return `--data` that names them, as parsed."""
    *size, colors = preset.config["image_shape"]
    name = preset.data["name"]
    images = random_images(4, size, colors)
    if name == "frey_face":
        from scipy.io import savemat

        savemat(folder / "frey_rawface.mat", {"ff": images.reshape(4, -1).T})
        return image_source(str(folder / "frey_rawface.mat"))
    if name in ("digits", "photo_patches"):
        return image_source(str(write_images(folder / "images", 4, size, colors)))
    import tensorflow_datasets as tfds

    any_size = "imagenet" in name
    if name.startswith("svhn"):
        images = images[:, :32, :32]
    write_set(
        folder,
        name,
        images,
        (None, None, colors) if any_size else images.shape[1:],
        version=pathlib.Path(tfds.builder(name, data_dir=folder).data_dir).name,
        labels=None if any_size else range(4),
        splits=("train", "validation" if any_size else "test"),
        ids=name in ("cifar10", "svhn_cropped"),
    )
    return None


@pytest.mark.parametrize(
    "family, name", [(family, name) for family in FAMILIES for name in FAMILIES[family]]
)
def test_every_preset_trains_a_step(family, name, tmp_path, monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    # SVHN's attention patches have 12 pixels a side.
    size = 12 if (family, name) == ("DRAW", "svhn") else 8
    size = None if "OWN_SIZE" in os.environ else size
    kind = getattr(models, family)
    preset = kind.presets[name]
    data = write_data(preset, tmp_path)
    arguments = {"preset": name, "data": data, "image_size": None, "crop_size": size}
    arguments |= {"random_flip": False, "color_mode": None}
    likelihood = likelihoods.get(preset.config.get("likelihood", "bernoulli"))
    options = image_options(types.SimpleNamespace(**arguments), preset)
    train, held_out, test = load_splits(options, 2, 1, likelihood)
    assert size is None or test.shape[1:3] == (size, size)
    model = kind.from_preset(name, **size_options(preset, test.shape[1:]))
    # Small models train sooner than they are traced.
    model.compile(preset.recipe.optimizer(len(train)), run_eagerly=size is not None)
    assert np.isfinite(
        model.train_on_batch(next(iter(train)), return_dict=True)["loss"]
    )


def test_other_images_come_with_the_labels_that_a_preset_needs():
    presets = models.PixelCNN.presets
    nothing = dict.fromkeys(["image_size", "crop_size", "color_mode", "random_flip"])
    given = types.SimpleNamespace(data="fashion_mnist", **nothing)
    assert image_options(given, presets["mnist"]) == {"name": "fashion_mnist"}
    with_labels = {"name": "fashion_mnist", "labels": True}
    assert image_options(given, presets["mnist_classes"]) == with_labels
