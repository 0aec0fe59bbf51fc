"""Hide one half of handwritten digits or other images, and let a model complete them.

By default, the example trains a PixelRNN on the 1,797 digits of 8x8 pixels and 17 gray
levels that scikit-learn ships. With `--data mnist`, it trains a small PixelCNN on
12,800 binarized images of MNIST. With `--model`, it loads a model trained before, and
with `--preset` one of those whose trained weights are part of the package, and the test
images of its data. It needs the extra `examples`.

    python examples/complete_digits.py
    python examples/complete_digits.py --model outputs/complete_digits/digits.keras
    python examples/complete_digits.py --known lower --candidates 48
    python examples/complete_digits.py --known lower --candidates 48 --data mnist
    python examples/complete_digits.py --preset PixelRNN/mnist_diagonal_1x32
    python examples/complete_digits.py --preset PixelCNN/cifar10_small
    python examples/complete_digits.py --preset MultiScalePixelRNN/cifar10_small
    python examples/complete_digits.py --preset OrientedModel/mnist

If the lower half is known, all known pixels come after the unknown ones, and a single
completion does not see them. With several candidates, the known pixels decide how
likely each candidate is to be chosen.

The picture shows occluded digits, completions and originals, like figures 1 and 9 of
Pixel Recurrent Neural Networks, https://arxiv.org/abs/1601.06759. A second picture
shows new digits next to real ones. With a Multi-Scale PixelRNN, a third one shows
enlargements of small images. With a model of several orders of pixels, a third one
shows each half completed.
"""

import argparse
import math
import pathlib

# Arguments of `datasets.load`, number of training images, number of epochs, and number
# of test images to complete.
DATA = {
    "digits": ({"num_values": 17}, 1497, 30, 300),
    "mnist": ({"binarize": "fixed"}, 12_800, 1, 300),
}
NUM_COLOR_IMAGES = 1000  # Whose parameters fit into memory at once.
NUM_DIGITS = 10
NUM_COMPLETIONS = 4
NUM_DRAWN = 64
SEED = 100


def trained_model(data, train, epochs):
    """Return a model trained on digits."""
    import keras

    from keras_genimg.models import PixelCNN, PixelRNN

    if data == "digits":
        model = PixelRNN.from_preset("digits_diagonal")
    else:
        model = PixelCNN((28, 28, 1), units=16, num_blocks=5)
    steps = epochs * math.ceil(len(train) / 32)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    model.fit(train, batch_size=32, epochs=epochs, verbose=2)
    return model


def unknown_nats(model, images, known):
    """Return the mean nats of the unknown pixels of `images`, given the known ones.

    The unknown pixels must be the last ones in raster order, since the model gives the
    probability of each pixel given those before it.
    """
    import numpy as np

    params = model.predict(images, verbose=0)
    log_prob = np.asarray(model.likelihood.log_prob(params, images))
    unknown = log_prob[:, known == 0].reshape(len(images), -1)
    return -unknown.sum(axis=1).mean()


def completion_table(model, images, known, counts):
    """Return a table of the likelihood of completed images by number of candidates.

    Args:
        model: An `AutoregressiveModel`.
        images: Test images.
        known: Mask of the known pixels, `(height, width)`.
        counts: Numbers of candidates.

    Returns:
        List of lines.
    """
    import numpy as np

    lines = ["candidates   log p of the image   effective sample size, mean and median"]
    for count in counts:
        completed, sizes = model.complete(
            images,
            known,
            seed=SEED,
            num_candidates=count,
            return_effective_sample_size=True,
            batch_size=1024,
            verbose=0,
        )
        lines.append(
            f"{count:>10} {model.log_prob(completed).mean():>15.2f} nats "
            f"{sizes.mean():>20.2f} {np.median(sizes):>10.2f}"
        )
    lines.append(f"{'originals':>10} {model.log_prob(images).mean():>15.2f} nats")
    return lines


def as_rgb(images):
    """Return images in color, gray ones too."""
    return images.repeat(3 // images.shape[-1], axis=-1)


def enlargement_panels(model, images):
    """Return small images, enlargements of each and the originals, as panels."""
    (height, width), (full_height, full_width) = model.scales[-2:]
    small = images[:, :: full_height // height, :: full_width // width]
    enlarged = model.enlarge(small.repeat(NUM_COMPLETIONS, axis=0), seed=SEED)
    shown = model.likelihood.to_display
    return {
        f"{height}×{width}": (as_rgb(shown(small)), 1),
        "Enlargements": (as_rgb(shown(enlarged)), NUM_COMPLETIONS),
        "Originals": (as_rgb(shown(images)), 1),
    }


def occluded(images, known):
    """Return RGB images with their unknown pixels in one color."""
    import numpy as np
    from color_patches import OCCLUDED_COLOR

    color = np.array(OCCLUDED_COLOR, "uint8")
    return np.where(known[..., None], as_rgb(images), color)


def half_panels(model, images):
    """Return each half of images, with two completions of it, and the originals.

    Args:
        model: An `OrientedModel`.
        images: Test images.
    """
    import numpy as np

    shown = model.likelihood.to_display
    _, height, width, _ = images.shape
    rows, columns = np.mgrid[:height, :width]
    halves = {
        "Upper half known": rows < height // 2,
        "Lower half": rows >= height // 2,
        "Left half": columns < width // 2,
        "Right half": columns >= width // 2,
    }
    panels = {}
    for title, known in halves.items():
        completed = model.complete(images.repeat(2, axis=0), known, seed=SEED)
        triples = np.stack(
            [
                occluded(shown(images), known),
                *(as_rgb(shown(completed[first::2])) for first in (0, 1)),
            ],
            axis=1,
        )
        panels[title] = (triples.reshape(-1, *triples.shape[2:]), 3)
    return {**panels, "Originals": (as_rgb(shown(images)), 1)}


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=tuple(DATA), default="digits")
    parser.add_argument("--known", choices=("upper", "lower"), default="upper")
    parser.add_argument("--candidates", type=int, default=1, metavar="K")
    parser.add_argument("--epochs", type=int, help="30 for digits, 1 for MNIST")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", type=pathlib.Path, help="a .keras file to reuse")
    source.add_argument(
        "--preset", metavar="FAMILY/NAME", help="trained weights, with their data"
    )
    parser.add_argument(
        "--output", type=pathlib.Path, default="outputs/complete_digits"
    )
    arguments = parser.parse_args()

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np
    from color_patches import save_panels

    from keras_genimg import datasets, models
    from keras_genimg.presets import find_preset
    from keras_genimg.visualization import save_comparison

    keras.utils.set_random_seed(0)
    pixels, num_trained, epochs, num_completed = DATA[arguments.data]
    options = {"name": arguments.data, **pixels}
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.model:
        model = keras.models.load_model(arguments.model)
    elif arguments.preset:
        family, name = find_preset(arguments.preset)
        family = getattr(models, family)
        model = family.from_preset(name, weights=True)
        options = {**family.presets[name].data, "likelihood": model.likelihood}
    else:
        train = datasets.as_array(datasets.load(split="train", **options))
        epochs = arguments.epochs or epochs
        model = trained_model(arguments.data, train[:num_trained], epochs)
        model.save(arguments.output / f"{arguments.data}.keras")
    test = datasets.as_array(datasets.load(split="test", **options))
    if test.shape[-1] > 1:
        test = test[:NUM_COLOR_IMAGES]

    _, height, width, _ = test.shape
    known = np.zeros((height, width), "uint8")
    known[: height // 2] = arguments.known == "upper"
    known[height // 2 :] = arguments.known == "lower"
    has_scales = isinstance(model, models.MultiScalePixelRNN)
    has_orders = isinstance(model, models.OrientedModel)
    if arguments.known == "upper" and not has_scales and not has_orders:
        nats = unknown_nats(model, test, known)
        noise = (
            (known == 0).sum()
            * test.shape[-1]
            * math.log(1 + model.likelihood.max_value)
        )
        print(f"\n{len(test)} test images: {nats:.2f} nats for the lower half given")
        print(f"the upper, {noise:.2f} for uniform noise.")
    elif arguments.known == "lower":
        counts = sorted({1, min(8, arguments.candidates), arguments.candidates})
        print(f"\nThe first {num_completed} test images, lower half known:")
        lines = completion_table(model, test[:num_completed], known, counts)
        print(*lines, sep="\n")

    originals = test[:NUM_DIGITS]
    images = originals.repeat(NUM_COMPLETIONS, axis=0)
    completed = model.complete(
        images, known, seed=SEED, num_candidates=arguments.candidates
    )
    originals, completed = (
        model.likelihood.to_display(images) for images in (originals, completed)
    )
    panels = {
        "Occluded": (occluded(originals, known), 1),
        "Completions": (as_rgb(completed), NUM_COMPLETIONS),
        "Originals": (as_rgb(originals), 1),
    }
    save_panels(arguments.output / "completions.png", panels)
    if has_scales:
        panels = enlargement_panels(model, test[:NUM_DIGITS])
        save_panels(arguments.output / "enlargements.png", panels)
    if has_orders:
        panels = half_panels(model, test[:NUM_DIGITS])
        save_panels(arguments.output / "halves.png", panels)
    drawn = model.generate(NUM_DRAWN, seed=SEED)
    samples = {"Real": test[:NUM_DRAWN], "Generated": drawn}
    samples = {title: model.likelihood.to_display(x) for title, x in samples.items()}
    picture = arguments.output / "samples.png"
    save_comparison(picture, samples, scale=64 // height)
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
