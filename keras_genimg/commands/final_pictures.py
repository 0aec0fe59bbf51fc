"""Pictures at the end of a training: samples, completions, easy and hard images."""

import math
from typing import Any

import numpy as np

from keras_genimg.commands.reports import nats_of
from keras_genimg.commands.training_images import images_in
from keras_genimg.models import (
    AutoregressiveModel,
    GenerativeModel,
    MultiScalePixelRNN,
)
from keras_genimg.visualization import image_grid, save_comparison

SHOWN = 10  # Easiest images, and hardest ones.
COMPLETED, COMPLETIONS = 8, 4  # Images with a hidden half, and completions of each.
HIDDEN = 128  # Gray level of hidden pixels.
SIDE = 64  # Height of an image in a picture, in pixels, if it is not larger itself.
SEED = 0


def write_pictures(model: GenerativeModel, held_out, sample_grid, num_samples):
    """Write pictures of a model with its final weights; return where they are.

    Args:
        model: The trained model.
        held_out: Images, or a dict of images and labels, that it was not trained on.
        sample_grid: `SampleGrid` of the model, whose folder the pictures go to.
        num_samples: Samples of an image for the bound of its nats, where there is no
            exact value.

    Returns:
        Lines for the user, as a text.
    """
    folder = sample_grid.directory
    folder.mkdir(parents=True, exist_ok=True)
    sample_grid.set_model(model)
    sample_grid.write(folder / "samples.png")
    names = model.class_names
    rows = f", a row for each of {', '.join(names)}" if names else ""
    lines = [
        f"Pictures of the trained model, in {folder}:",
        f"  samples.png: {sample_grid.num_images} generated images{rows}",
    ]
    # Small images of means hold no pixels of the large one.
    of_means = isinstance(model, MultiScalePixelRNN) and model.subsampling == "box"
    if isinstance(model, AutoregressiveModel) and not of_means:
        count = save_completions(folder / "completions.png", model, held_out)
        lines.append(
            f"  completions.png: {count} held-out images without their lower half, "
            f"{COMPLETIONS} completions of each, and the originals"
        )
    images = images_in(held_out)
    bits = nats_of(model, held_out, num_samples)["nats"]
    bits = bits / math.prod(images.shape[1:]) / math.log(2)
    shown = model.likelihood.to_display(images)
    count = save_easiest_and_hardest(folder / "easiest_and_hardest.png", shown, bits)
    lines.append(
        f"  easiest_and_hardest.png: the {count} held-out images that the model finds "
        f"most likely, and the {count} that it finds least likely"
    )
    return "\n".join(lines)


def save_completions(path, model: AutoregressiveModel, held_out):
    """Write images without their lower half, and completions; return their number."""
    images = images_in(held_out)[:COMPLETED]
    given: dict[str, Any] = {"seed": SEED, "verbose": 0}
    if isinstance(held_out, dict):
        given["conditions"] = held_out["label"][:COMPLETED].repeat(COMPLETIONS)
    _, height, width, _ = images.shape
    known = np.zeros((height, width), "uint8")
    known[: height // 2] = 1
    completed = model.complete(images.repeat(COMPLETIONS, axis=0), known, **given)
    originals, completed = map(model.likelihood.to_display, (images, completed))
    hidden = np.where(known[..., None], originals, np.uint8(HIDDEN))
    save_panels(
        path,
        {
            "Given": (hidden, 1),
            "Completions": (completed, COMPLETIONS),
            "Originals": (originals, 1),
        },
    )
    return len(images)


def save_easiest_and_hardest(path, images, bits):
    """Write the likeliest and the least likely images; return how many of each.

    Args:
        path: Path of the picture.
        images: Displayable images.
        bits: Bits per dimension of each.
    """
    order = np.argsort(bits, kind="stable")
    panels = {}
    for title, chosen in ("Easiest", order[:SHOWN]), ("Hardest", order[::-1][:SHOWN]):
        first, last = bits[chosen[[0, -1]]]
        panels[f"{title}: {first:.2f} to {last:.2f} bits per dimension"] = (
            images[chosen],
            SHOWN // 2,
        )
    save_panels(path, panels)
    return len(order[:SHOWN])


def save_panels(path, panels):
    """Write panels of displayable images side by side, with columns of their own.

    Args:
        path: Path of the picture.
        panels: Dict of images and number of columns, by title.
    """
    grids = {}
    for title, (images, columns) in panels.items():
        grid = image_grid(images, columns, scale=max(1, SIDE // images.shape[1]))
        grids[title] = grid.reshape(1, *grid.shape[:2], -1)
    save_comparison(path, grids, scale=1)
