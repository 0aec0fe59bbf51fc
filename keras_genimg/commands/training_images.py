"""Images that `genimg-train` trains, validates and tests a model on."""

import contextlib
import os
import pathlib
from typing import Any

import numpy as np

from keras_genimg import datasets, likelihoods
from keras_genimg.datasets.readers import READERS, visible_files
from keras_genimg.extras import optional

FOLDER_SIZE = 32  # Images of a folder are at most this large by default.
ORIENTATION = 0x0112  # The EXIF tag of a picture.
TEST_SEED = 777
HELD_OUT = 5000
IMAGENET_NOTE = (
    "The official downsampled images of today, which are easier than those of the "
    "papers, with 49,999 validation images: their bits per dimension do not compare."
)


def images_in(data):
    """Return the images of an array, or of a dict of images and labels."""
    return data["images"] if isinstance(data, dict) else data


def image_options(arguments, preset):
    """Return the arguments of `datasets.load` that name and change the images."""
    options: dict[str, Any] = dict(preset.data)
    if arguments.data is not None:
        options = {**_labels_of(preset), "name": arguments.data}
    for name in ("image_size", "crop_size", "color_mode"):
        if getattr(arguments, name) is not None:
            options[name] = getattr(arguments, name)
    if arguments.random_flip:
        options["random_flip"] = True
    return options


def _labels_of(preset):
    """Return the argument of `datasets.load` for the labels that a preset needs."""
    return {key: preset.data[key] for key in ("labels",) if key in preset.data}


def subfolders_notice(options):
    """Return a line on the subfolders that `--labels` takes for classes, or "".

    Args:
        options: Arguments of `datasets.load`.
    """
    folder = options["name"]
    if options.get("labels") or not isinstance(folder, pathlib.Path):
        return ""
    paths = [file.relative_to(folder).parts for file in visible_files(folder)]
    names = sorted({first for first, *_ in paths})
    if len(names) < 2 or any(len(parts) == 1 for parts in paths):
        return ""
    more = f" and {len(names) - 10} more" if len(names) > 10 else ""
    return (
        f"Subfolders: {', '.join(names[:10])}{more}. Add --labels to train a model "
        f"that draws images of each.\n"
    )


def fitting_size(folder):
    """Return a size for the images of a folder, or None if they can keep their own."""
    with optional("Reading image files needs Pillow", "examples"):
        from PIL import Image
    # `load` reports such files by name.
    unfit = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    sizes = set()
    for file in visible_files(folder):
        with contextlib.suppress(*unfit), Image.open(file) as image:
            turned = image.getexif().get(ORIENTATION, 1) > 4  # `load` turns it so.
            sizes.add(image.size[::-1] if turned else image.size)
    if len(sizes) > 1:
        return FOLDER_SIZE, FOLDER_SIZE
    width, height = sizes.pop() if sizes else (1, 1)
    longest = max(width, height)
    if longest <= FOLDER_SIZE:
        return None
    return tuple(max(1, round(n * FOLDER_SIZE / longest)) for n in (height, width))


def fitting_likelihood(images):
    """Return a likelihood that keeps all levels of images from 0 to 255."""
    if images.shape[-1] == 1:
        for count in range(2, 33):
            levels = np.round(np.arange(count) * 255 / (count - 1))
            if np.isin(images, levels).all():
                categorical = likelihoods.Categorical(count)
                return likelihoods.Bernoulli() if count == 2 else categorical
    return likelihoods.DiscretizedLogisticMixture()


def fit_to_images(arguments, options):
    """Return images and likelihood of a folder; complete the options for them."""
    size = fitting_size(options["name"])
    if size is not None:
        options.setdefault("image_size", size)
    images = images_in(datasets.as_array(datasets.load(split="all", **options)))
    if images.shape[-1] == 1:  # Strokes depend on distant pixels, textures do not.
        width = min(2 * max(images.shape[1:3]) - 1, FOLDER_SIZE - 1)
        arguments.set.setdefault("first_kernel_size", width)
    return images, fitting_likelihood(images)


def rounding_notice(batches, likelihood):
    """Return what a likelihood takes from images from 0 to 255, "" for nothing."""
    if likelihood.num_values is None or likelihood.num_values >= 256:
        return ""
    to_display, from_display = likelihood.to_display, likelihood.from_display
    arrays = (images.numpy() for images in batches)
    if all((to_display(from_display(x)) == x).all() for x in arrays):
        return ""
    if likelihood.binarizes:
        return "This preset makes gray levels black or white at random in each epoch.\n"
    return (
        f"This preset rounds your pixels to {likelihood.num_values} levels. Leave out "
        f"--preset to keep them all.\n"
    )


def load_splits(options, batch_size, held_out, likelihood):
    """Return training images in batches, and arrays of held-out and of test images.

    Only training images are shuffled, cropped, mirrored and binarized anew in each
    epoch.
    """
    name = options["name"]
    options = {**options, "likelihood": likelihood}
    once = {**options, "seed": TEST_SEED, "batch_size": 1000, "random_flip": False}
    if likelihood.binarizes:
        once["binarize"] = "fixed"
    train, held, test = "train", "validation", "test"
    if not isinstance(name, pathlib.Path) or held_out is not None:
        size = int(
            datasets.load(split="train", **{**once, "batch_size": 1}).cardinality()
        )
        if str(name).startswith("downsampled_imagenet"):
            test = "validation"  # The papers report it.
        if held_out is not None or not has_validation_split(name):
            count = min(HELD_OUT, size // 10) if held_out is None else held_out
            if count >= size:
                raise ValueError(
                    f"--held-out must be below {size}, the number of training images. "
                    f"Received: {count}"
                )
            train, held = f"train[:{size - count}]", f"train[{size - count}:]"
            if count == 0:
                held = None
    return (
        datasets.load(
            split=train,
            batch_size=batch_size,
            shuffle=True,
            random_crop="crop_size" in options,
            **options,
        ),
        held and datasets.as_array(datasets.load(split=held, **once)),
        datasets.as_array(datasets.load(split=test, **once)),
    )


def has_validation_split(name):
    """Return whether a data set has validation images that are no test images."""
    import tensorflow_datasets as tfds

    if isinstance(name, pathlib.Path) or name in READERS:
        return False
    if name.startswith("downsampled_imagenet"):
        return False  # The papers report its validation images, so they are the test.
    builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    return "validation" in builder.info.splits


def data_facts(options, train, held_out, test):
    """Return which version of the data was used, and how many images of it."""
    import tensorflow_datasets as tfds

    name = str(options["name"])
    facts = {
        "data_version": name,
        "train_split": train.epochs.description["split"],
        "held_out_images": 0 if held_out is None else len(images_in(held_out)),
        "test_images": len(images_in(test)),
    }
    if isinstance(options["name"], pathlib.Path) or name in READERS:
        return facts
    builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    facts["data_version"] = builder.info.full_name
    if name.startswith("downsampled_imagenet"):
        facts["data_note"] = IMAGENET_NOTE
    return facts


def size_options(preset, image_shape):
    """Return the constructor's arguments that follow from the size of the images.

    Scales keep their ratios to the image.
    """
    options: dict[str, Any] = {"image_shape": tuple(image_shape)}
    if "scales" in preset.config:
        size, own = image_shape[:2], preset.config["image_shape"][:2]
        options["scales"] = tuple(
            tuple(scale * n // o for n, o in zip(size, own, strict=True))
            for scale in preset.config["scales"]
        )
    return options
