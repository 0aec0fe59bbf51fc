"""Train DRAW on handwritten digits and watch it draw.

By default, the example uses the 8x8 digits that scikit-learn ships. With `--data
mnist`, it uses MNIST from tensorflow-datasets, binarized again in each epoch, and a
model that two CPU cores train in half an hour. With `--two-digits`, images have two
digits at random places, as in figure 8 of the paper. It needs the extra `examples`.

    python examples/draw_digits.py
    python examples/draw_digits.py --data mnist
    python examples/draw_digits.py --data mnist --two-digits
    python examples/draw_digits.py --model outputs/draw_digits/model.keras
    python examples/draw_digits.py --preset mnist

The animation shows the canvas after each glimpse, with the attention as a red
rectangle, like figure 1 of DRAW: A Recurrent Neural Network for Image Generation,
https://arxiv.org/abs/1502.04623. As in figures 6 and 12, `nearest.png` shows the
training image that is nearest to each generated one.
"""

import argparse
import math
import pathlib
import time
from typing import Any

SEED = 100
NUM_IMAGES = 16
# Presets by data set.
DATA = {"digits": "digits", "mnist": "mnist_small"}


def load_images(data, split, two_digits, likelihood, **options):
    """Return batches of digits, or of images of two digits at random places.

    Training images are new in each epoch, those to test on are always the same.
    """
    from keras_genimg import datasets

    options["likelihood"] = likelihood
    if two_digits:
        return datasets.two_digits(data, split, fixed=split == "test", **options)
    return datasets.load(data, split, shuffle=split == "train", **options)


def trained_model(data, two_digits, epochs, output):
    """Train a DRAW on digits, and save it after each epoch."""
    import keras

    from keras_genimg.models import DRAW

    preset = DATA[data]
    recipe = DRAW.presets[preset].recipe
    epochs = epochs or recipe.epochs
    likelihood = DRAW.presets[preset].config.get("likelihood", "bernoulli")
    options = {"batch_size": recipe.batch_size, "drop_remainder": True}
    train = load_images(data, "train", two_digits, likelihood, **options)
    images: Any = train.element_spec
    model = DRAW.from_preset(preset, image_shape=tuple(images.shape[1:]))
    model.compile(recipe.optimizer(len(train), epochs))
    checkpoint = keras.callbacks.ModelCheckpoint(output / "model.keras")
    start = time.perf_counter()
    model.fit(train, epochs=epochs, verbose=2, callbacks=[checkpoint])
    print(f"\nTrained for {time.perf_counter() - start:.0f} s")
    return model


def nearest(images, others):
    """Return, for each image, the one of others with the smallest squared distance."""
    import numpy as np

    flat, candidates = (x.reshape(len(x), -1) for x in (images, others))
    # The squared length of an image itself is the same for all candidates.
    distances = (candidates**2).sum(axis=1) - 2 * flat @ candidates.T
    return others[np.argmin(distances, axis=1)]


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=tuple(DATA), default="digits")
    parser.add_argument("--two-digits", action="store_true", help="in each image")
    parser.add_argument("--epochs", type=int, help="100 for digits, 30 for MNIST")
    parser.add_argument("--samples", type=int, default=20, help="for log_prob")
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--model", type=pathlib.Path, help="a .keras file to reuse")
    source.add_argument(
        "--preset", metavar="NAME", help="of DRAW, with its weights, trained on MNIST"
    )
    parser.add_argument("--output", type=pathlib.Path, default="outputs/draw_digits")
    arguments = parser.parse_args()

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras

    from keras_genimg import datasets
    from keras_genimg.models import DRAW
    from keras_genimg.visualization import (
        save_canvases,
        save_comparison,
        save_kl_per_step,
    )

    keras.utils.set_random_seed(0)
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.model:
        model = keras.models.load_model(arguments.model)
    elif arguments.preset:
        model = DRAW.from_preset(arguments.preset, weights=True)
    else:
        model = trained_model(
            arguments.data, arguments.two_digits, arguments.epochs, arguments.output
        )

    data = "mnist" if arguments.preset else arguments.data
    given = data, "test", arguments.two_digits, model.likelihood
    test = datasets.as_array(load_images(*given))
    elbo = model.elbo(test, seed=SEED, batch_size=200)
    few = test[:1000]
    bound = model.log_prob(few, num_samples=arguments.samples, seed=SEED)
    print(f"{len(test)} test images: ELBO {elbo.mean():.2f} nats")
    print(f"the first {len(few)}: ELBO {elbo[: len(few)].mean():.2f} nats, importance-")
    print(f"weighted bound of {arguments.samples} samples {bound.mean():.2f} nats")

    display, cell = model.likelihood.to_display, model.loop.cell
    scale = math.ceil(84 / model.image_shape[0])
    drawn = model.generate_canvases(NUM_IMAGES, seed=SEED)
    picture = arguments.output / "drawn.gif"
    save_canvases(
        picture,
        display(drawn["canvases"]),
        drawn["write_attention"],
        cell.write_size,
        scale=scale,
    )
    print(f"Wrote {picture}")
    given = data, "train", arguments.two_digits, model.likelihood
    train = datasets.as_array(load_images(*given))
    generated = model.generate(NUM_IMAGES, seed=SEED)
    panels = {
        "Generated": generated,
        "Nearest training images": nearest(generated, train),
    }
    picture = arguments.output / "nearest.png"
    save_comparison(
        picture, {title: display(images) for title, images in panels.items()}
    )
    print(f"Wrote {picture}")
    images = test[:NUM_IMAGES]
    read = model.reconstruct_canvases(images, seed=SEED)
    picture = arguments.output / "reconstructed.gif"
    save_canvases(
        picture,
        display(read["canvases"]),
        read["write_attention"],
        cell.write_size,
        display(images),
        read["read_attention"],
        cell.read_size,
        scale=scale,
    )
    print(f"Wrote {picture}")
    picture = arguments.output / "kl.png"
    kl = model.reconstruct_canvases(few, seed=SEED)["kl"]
    save_kl_per_step(picture, kl)
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
