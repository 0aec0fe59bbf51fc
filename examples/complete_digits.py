"""Hide the lower half of handwritten digits, and let a PixelRNN complete them.

Trains on the 1,797 digits of 8x8 pixels and 17 grey levels that scikit-learn ships, or
takes a model that was trained before. Needs the extra `examples`.

    python examples/complete_digits.py
    python examples/complete_digits.py --model outputs/complete_digits/digits.keras

The picture is that of figures 1 and 9 of the paper, Pixel Recurrent Neural Networks,
https://arxiv.org/abs/1601.06759: occluded digits, completions, originals.
"""

import argparse
import math
import pathlib

NUM_VALUES = 17
NUM_DIGITS = 10
NUM_COMPLETIONS = 4
OCCLUDED_COLOR = (120, 165, 215)
SEED = 100


def trained_model(train, epochs):
    """Return a PixelRNN trained on digits."""
    import keras

    from keras_genimg.models import PixelRNN

    model = PixelRNN.from_preset("digits_diagonal")
    steps = epochs * math.ceil(len(train) / 32)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0))
    model.fit(train, batch_size=32, epochs=epochs, verbose=2)
    return model


def unknown_nats(model, images, known):
    """Return the mean nats of the unknown pixels of `images`, given the known ones.

    The unknown pixels must be the last ones in raster order: a model gives each pixel
    its probability given all those before it.
    """
    import numpy as np

    params = model.predict(images, verbose=0)
    log_prob = np.asarray(model.likelihood.log_prob(params, images))
    return -log_prob[:, known == 0].sum(axis=(1, 2)).mean()


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--model", type=pathlib.Path, help="a .keras file to reuse")
    parser.add_argument(
        "--output", type=pathlib.Path, default="outputs/complete_digits"
    )
    arguments = parser.parse_args()

    import keras
    import numpy as np

    import keras_genimg.models  # noqa: F401  Known to `load_model` once imported.
    from keras_genimg import datasets
    from keras_genimg.visualization import image_grid, save_comparison

    keras.utils.set_random_seed(0)
    train, test = (
        datasets.as_array(datasets.load("digits", split, num_values=NUM_VALUES))
        for split in ("train", "test")
    )
    arguments.output.mkdir(parents=True, exist_ok=True)
    if arguments.model:
        model = keras.models.load_model(arguments.model)
    else:
        model = trained_model(train, arguments.epochs)
        model.save(arguments.output / "digits.keras")

    _, height, width, _ = test.shape
    known = np.zeros((height, width), "uint8")
    known[: height // 2] = 1
    nats = unknown_nats(model, test, known)
    print(f"\n{len(test)} test digits: {nats:.2f} nats for the lower half given the")
    print(f"upper, {(known == 0).sum() * math.log(NUM_VALUES):.2f} for uniform noise.")

    originals = test[:NUM_DIGITS]
    images = originals.repeat(NUM_COMPLETIONS, axis=0)
    completed = model.complete(images, known, seed=SEED)
    originals, completed = (
        model.likelihood.to_display(images).repeat(3, axis=-1)  # Grey as RGB.
        for images in (originals, completed)
    )
    color = np.array(OCCLUDED_COLOR, "uint8")
    panels = {
        "Occluded": (np.where(known[..., None], originals, color), 1),
        "Completions": (completed, NUM_COMPLETIONS),
        "Originals": (originals, 1),
    }
    grids = {
        title: image_grid(images, columns, padding=4, scale=8)[None]
        for title, (images, columns) in panels.items()
    }
    picture = arguments.output / "completions.png"
    save_comparison(picture, grids, scale=1)
    print(f"\nWrote {picture}")


if __name__ == "__main__":
    main()
