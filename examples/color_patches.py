"""Train three models on color crops of photographs, and compare them with PNG and WebP.

A PixelCNN, a PixelRNN of Diagonal BiLSTM layers and a Multi-Scale PixelRNN (8x8, 16x16,
32x32) are trained for the same time on the 3,886 crops of `photo_patches`. The colors
of a pixel are drawn in the order red, green, blue. The table shows the bits per
sub-pixel of 342 crops of other photographs.

    python examples/color_patches.py
    python examples/color_patches.py --minutes 60 --units 48
    python examples/color_patches.py --likelihood categorical

The output folder holds `samples.png`; `completions.png` of crops whose lower half is
unknown; `enlargements.png` of crops of 8x8 pixels, several of each; `scales.png`, the
scales of samples side by side; and `report.json`. Evaluation and pictures take about
two minutes more than `--minutes`. It needs the extra `examples`.
"""

import argparse
import importlib.metadata
import io
import json
import math
import pathlib
import time

from genimg_export.arguments import integer, positive
from genimg_export.quiet_start import import_tensorflow

import_tensorflow()

import keras
import numpy as np
from PIL import Image

from keras_genimg import datasets, likelihoods
from keras_genimg.models import MultiScalePixelRNN, PixelCNN, PixelRNN
from keras_genimg.ops.devices import num_cores
from keras_genimg.visualization import image_grid, save_comparison

IMAGE_SHAPE = (32, 32, 3)
SCALES = (8, 16, 32)
LIKELIHOODS = {
    "mixture": likelihoods.DiscretizedLogisticMixture(256),
    "categorical": likelihoods.Categorical(256),
}
FILES = {
    "PNG": {"format": "PNG", "optimize": True},
    "WebP, lossless": {"format": "WebP", "lossless": True, "quality": 100, "method": 6},
}
BATCH_SIZE = 16
LEARNING_RATE = 2e-3
NUM_PICTURED = 8
NUM_DRAWN = 4  # Enlargements of a small image.
OCCLUDED_COLOR = (120, 165, 215)
SEED = 100
PACKAGES = ("tensorflow", "keras", "numpy", "pillow", "scikit-image", "scikit-learn")


class TimeBudget(keras.callbacks.Callback):
    """Stop training after some time, and lower the learning rate to 0 until then.

    The rate follows a cosine of the time, since the number of steps is not known
    beforehand. At least one step is done.

    Args:
        seconds: Time to train, with that of the first step, which makes the graph.

    Attributes:
        steps: Number of steps done.
        seconds: Time that they took.
        seconds_per_step: The same without the first step, per step.
    """

    def __init__(self, seconds):
        super().__init__()
        self.budget = seconds

    def on_train_begin(self, logs=None):
        self.steps, self.seconds, self.first = 0, 0.0, 0.0
        self.start = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        share = min((time.monotonic() - self.start) / self.budget, 1)
        rate = LEARNING_RATE * (1 + math.cos(math.pi * share)) / 2
        self.model.optimizer.learning_rate = rate

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        self.seconds = time.monotonic() - self.start
        self.first = self.first or self.seconds
        self.model.stop_training = self.seconds >= self.budget

    def on_epoch_end(self, epoch, logs=None):
        print(
            f"{self.model.name}: {self.steps} steps, {self.seconds:.0f} s, "
            f"{(logs or {})['bits_per_dim']:.3f} bits/dim in this epoch",
            flush=True,
        )

    @property
    def seconds_per_step(self):
        if self.steps == 1:
            return self.seconds
        return (self.seconds - self.first) / (self.steps - 1)


def train_for(model, seconds):
    """Train a model on the crops for some time, and return its `TimeBudget`."""
    budget = TimeBudget(seconds)
    train = datasets.load(
        "photo_patches",
        batch_size=BATCH_SIZE,
        shuffle=True,
        likelihood=model.likelihood,
    )
    model.compile(keras.optimizers.Adam(LEARNING_RATE, global_clipnorm=1.0))
    # The budget ends it before.
    model.fit(train, epochs=1_000_000, verbose=0, callbacks=[budget])
    return budget


def bits_per_dim(model, images):
    """Return the mean bits per sub-pixel that a model needs for images."""
    return float(model.bits_per_dim(images, verbose=0).mean())


def histogram_bits(train, test):
    """Return the bits per sub-pixel by a histogram of each color of `train`.

    One is added to each count, so that no value has the probability 0. The result may
    be above 8, since other photographs have other colors.
    """
    bits = []
    for color in range(3):
        counts = np.bincount(train[..., color].ravel(), minlength=256) + 1
        bits.append(-np.log2(counts / counts.sum())[test[..., color]].mean())
    return float(np.mean(bits))


def file_bits(images, **options):
    """Return the bits per sub-pixel of images in one file each, headers included."""
    size = 0
    for image in images:
        file = io.BytesIO()
        Image.fromarray(image).save(file, **options)
        size += len(file.getvalue())
    return 8 * size / images.size


def make_models(likelihood, units):
    """Return the three models by name."""
    options = {"head_filters": 64, "likelihood": likelihood}
    return {
        "PixelCNN": PixelCNN(IMAGE_SHAPE, 2 * units, 5, name="pixel_cnn", **options),
        "PixelRNN": PixelRNN(IMAGE_SHAPE, units, 2, name="pixel_rnn", **options),
        "MultiScalePixelRNN": MultiScalePixelRNN(
            IMAGE_SHAPE, SCALES, units, 2, name="multi_scale_pixel_rnn", **options
        ),
    }


def table(baselines, trained):
    """Return the lines of a table of the bits per dimension.

    Args:
        baselines: Dict of bits per dimension by name.
        trained: Dict by name of the model's part of the report.
    """
    lines = [f"{'':<24} bits/dim  parameters   steps  seconds"]
    lines += [f"{name:<24} {bits:>8.3f}" for name, bits in baselines.items()]
    for name, row in trained.items():
        lines.append(
            f"{name:<24} {row['bits_per_dim']:>8.3f} {row['parameters']:>11,} "
            f"{row['steps']:>7,} {row['seconds']:>8.0f}"
        )
    return lines


def save_panels(path, panels):
    """Write panels of images side by side, all images 64 pixels high.

    Args:
        path: Path of the PNG file.
        panels: Dict of `(images, columns)` by title.
    """
    grids = {
        title: image_grid(images, columns, 4, 64 // images.shape[1])[None]
        for title, (images, columns) in panels.items()
    }
    save_comparison(path, grids, scale=1)
    print(f"Wrote {path}", flush=True)


def save_pictures(models, test, output):
    """Write pictures of samples, completions, enlargements and scales.

    Args:
        models: The three models by name.
        test: Crops to complete and to enlarge.
        output: Folder of the pictures.
    """
    options = {"seed": SEED, "verbose": 0}
    known = np.zeros(IMAGE_SHAPE[:2], "uint8")
    known[: IMAGE_SHAPE[0] // 2] = 1
    occluded = np.where(known[..., None], test, np.array(OCCLUDED_COLOR, "uint8"))
    samples, completions = {"Photographs": (test, 2)}, {"Occluded": (occluded, 1)}
    for name, model in models.items():
        drawn = model.generate(len(test), **options)
        samples[name] = (model.likelihood.to_display(drawn), 2)
        completed = model.complete(test, known, **options)
        completions[name] = (model.likelihood.to_display(completed), 1)
    completions["Originals"] = (test, 1)
    save_panels(output / "samples.png", samples)
    save_panels(output / "completions.png", completions)

    name = "MultiScalePixelRNN"
    model, (drawn, _) = models[name], samples[name]
    sides = {f"{side}×{side}": IMAGE_SHAPE[0] // side for side in SCALES}
    scales = {title: (drawn[:, ::n, ::n], 1) for title, n in sides.items()}
    save_panels(output / "scales.png", scales)
    smallest, factor = next(iter(sides.items()))
    small = test[::2, ::factor, ::factor]
    enlarged = model.enlarge(small.repeat(NUM_DRAWN, axis=0), **options)
    panels = {
        smallest: (small, 1),
        "Enlargements": (model.likelihood.to_display(enlarged), NUM_DRAWN),
        "Originals": (test[::2], 1),
    }
    save_panels(output / "enlargements.png", panels)


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    minutes = "minutes of training, split evenly among the models"
    parser.add_argument("--minutes", type=positive(float), default=13.0, help=minutes)
    parser.add_argument("--likelihood", choices=tuple(LIKELIHOODS), default="mixture")
    units = "units of an LSTM layer, at least 3; the PixelCNN has twice as many"
    parser.add_argument("--units", type=integer(3), default=24, help=units)
    parser.add_argument("--output", type=pathlib.Path, default="outputs/color_patches")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    train, test = (
        datasets.as_array(datasets.load("photo_patches", split))
        for split in ("train", "test")
    )
    baselines = {
        "uniform": 8.0,
        "histogram of each color": histogram_bits(train, test),
        **{name: file_bits(test, **options) for name, options in FILES.items()},
    }
    models = make_models(LIKELIHOODS[arguments.likelihood], arguments.units)
    trained = {}
    for name, model in models.items():
        budget = train_for(model, 60 * arguments.minutes / len(models))
        trained[name] = {
            "bits_per_dim": bits_per_dim(model, test),
            "parameters": model.count_params(),
            "steps": budget.steps,
            "seconds": budget.seconds,
            "seconds_per_step": budget.seconds_per_step,
        }
    print(
        f"\n{len(test)} test crops. Each PNG or WebP file holds one, with its header."
    )
    print(*table(baselines, trained), sep="\n")

    report = {
        "likelihood": arguments.likelihood,
        "minutes": arguments.minutes,
        "units": arguments.units,
        "batch_size": BATCH_SIZE,
        "train_crops": len(train),
        "test_crops": len(test),
        "baselines": baselines,
        "models": trained,
        "cores": num_cores(),
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
    }
    arguments.output.mkdir(parents=True, exist_ok=True)
    (arguments.output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    # Crops from all over both photographs.
    pictured = test[:: len(test) // NUM_PICTURED][:NUM_PICTURED]
    save_pictures(models, pictured, arguments.output)


if __name__ == "__main__":
    main()
