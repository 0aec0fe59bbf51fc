"""Train each preset for one step, on two images of the form of its data set.

    python -m tests.examples.preset_steps
    python -m tests.examples.preset_steps --presets DRAW/svhn --image-size 16

The images are random, but come from a data set of tensorflow_datasets that is written
for the purpose, or from files, by the way that `examples/train.py` takes. By default
they have the preset's own size.
"""

import argparse
import os
import pathlib
import tempfile
import time
import types
from unittest import mock

import numpy as np

from examples.train import image_options, load_splits, size_options
from keras_genimg import likelihoods, models
from keras_genimg.presets import FAMILIES
from tests.datasets.written_sets import write_set

PRESETS = {
    f"{family}/{name}": (getattr(models, family), name)
    for family, presets in FAMILIES.items()
    for name in presets
}
NUM_IMAGES = 4


def write_images(preset, folder):
    """Write images of a preset's form; return the value of --data that names them."""
    from PIL import Image

    height, width, colors = preset.config["image_shape"]
    name = preset.data["name"]
    images = np.random.default_rng(0).integers(
        0, 256, (NUM_IMAGES, height, width, colors), np.uint8
    )
    if name == "frey_face":
        from scipy.io import savemat

        path = folder / "frey_rawface.mat"
        savemat(path, {"ff": images.reshape(NUM_IMAGES, -1).T})
        return str(path)
    if name in ("digits", "photo_patches"):
        for index, image in enumerate(images):
            Image.fromarray(image.squeeze()).save(folder / f"{index}.png")
        return str(folder)
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
        labels=None if any_size else range(NUM_IMAGES),
        splits=("train", "validation" if any_size else "test"),
        ids=name in ("cifar10", "svhn_cropped"),
    )
    return None


def train_a_step(family, name, folder, image_size=None, run_eagerly=False):
    """Train a preset for one step; return the loss in nats and the images' shape.

    Args:
        family: Class of the model.
        name: Name of the preset.
        folder: Empty `pathlib.Path` for the images.
        image_size: Size to cut images to, or None for the preset's own.
        run_eagerly: Whether to train without making a graph, which saves time.
    """
    preset = family.presets[name]
    with mock.patch.dict(os.environ, {"TFDS_DATA_DIR": str(folder)}):
        arguments = types.SimpleNamespace(
            preset=name,
            data=write_images(preset, folder),
            image_size=None,
            crop_size=image_size,
        )
        likelihood = likelihoods.get(preset.config.get("likelihood", "bernoulli"))
        options = image_options(arguments, preset)
        train, held_out, test = load_splits(options, 2, 1, likelihood)
    model = family.from_preset(name, **size_options(preset, test.shape[1:]))
    model.compile(preset.recipe.optimizer(len(train)), run_eagerly=run_eagerly)
    logs = model.train_on_batch(next(iter(train)), return_dict=True)
    return logs["loss"], test.shape[1:]


def main():
    """Train the presets, one after the other."""
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--presets", nargs="+", choices=PRESETS, default=list(PRESETS))
    parser.add_argument("--image-size", type=int)
    arguments = parser.parse_args()
    for key in arguments.presets:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            loss, shape = train_a_step(
                *PRESETS[key], pathlib.Path(folder), arguments.image_size
            )
        seconds = time.monotonic() - start
        print(f"{key}: {shape}, loss {loss:.2f}, {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    main()
