"""Train the paper's VAE with Adagrad and with Adam, and plot the bound on the way.

By default, the example uses the 8x8 digits that scikit-learn ships. With `--data
mnist`, it uses MNIST from tensorflow-datasets, binarized again in each epoch. It writes
`vae_curve.png` and `vae_curve.csv`, and needs the extra `examples`.

    python examples/vae_curve.py
    python examples/vae_curve.py --data mnist

As in section 5 of Auto-Encoding Variational Bayes, https://arxiv.org/abs/1312.6114:
batches of 100 images, one sample of the latents for each, a prior N(0, I) on all
weights, and Adagrad with one of three rates, chosen by the bound of training images
after the first iterations. The plot is like its figure 2.
"""

import argparse
import csv
import pathlib
import time
from typing import Any

SEED = 100
# Arguments of `datasets.load`.
DATA = {"digits": {"intensities": True}, "mnist": {"binarize": "dynamic"}}
BATCH_SIZE = 100
RATES = (0.01, 0.02, 0.1)
# Batches after which a rate is chosen.
FIRST_BATCHES = 600
NUM_POINTS = 40
MOST_IMAGES = 10_000
COLUMNS = ("optimizer", "training images", "train, nats", "test, nats")


def mean_bound(model, images):
    """Return the mean bound of images in nats, by one sample of the latents each."""
    return float(model.elbo(images, seed=SEED, batch_size=500, verbose=0).mean())


def trained_model(name, optimizer, train, num_batches, after_batch):
    """Return a model trained on some batches, always from the same weights.

    Args:
        name: Name of the preset.
        optimizer: Optimizer of the model.
        train: Data set of batches, read again where it ends.
        num_batches: Number of batches to train on.
        after_batch: Function of the model and of the number of batches so far.
    """
    import keras

    from keras_genimg.models import VAE

    keras.utils.set_random_seed(0)
    num_images = len(train) * BATCH_SIZE
    model = VAE.from_preset(name, weight_prior=num_images)
    model.compile(optimizer)
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: after_batch(model, batch + 1)
    )
    model.fit(
        train.repeat(), steps_per_epoch=num_batches, verbose=0, callbacks=[callback]
    )
    return model


def save_plot(path, rows, data):
    """Plot the bound over the training images seen, as a PNG file."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, label in enumerate(dict.fromkeys(row[0] for row in rows)):
        _, seen, train, test = zip(*(r for r in rows if r[0] == label), strict=True)
        axes.plot(seen, train, "--", color=f"C{index}", label=f"{label}, train")
        axes.plot(seen, test, color=f"C{index}", label=f"{label}, test")
    axes.set_xscale("log")
    axes.set_xlabel("training images seen")
    axes.set_ylabel("bound, nats")
    axes.set_title(f"VAE on {data}")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)
    figure.savefig(path)


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=tuple(DATA), default="digits")
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=pathlib.Path, default="outputs/vae_curve")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {arguments.epochs}")

    import keras
    import numpy as np

    from keras_genimg import datasets

    name = arguments.data
    keras.utils.set_random_seed(0)
    pixels: dict[str, Any] = DATA[name]
    train = datasets.load(
        name, "train", BATCH_SIZE, shuffle=True, drop_remainder=True, **pixels
    )
    if "binarize" in pixels:
        pixels = {"binarize": "fixed"}  # So that each evaluation sees the same pixels.
    evaluated = [
        datasets.as_array(datasets.load(name, split, **pixels))[:MOST_IMAGES]
        for split in ("train", "test")
    ]

    def adagrad(rate):
        # Keras would start the sums of squares at 0.1. That is large beside the squared
        # gradients of a mean over the batch, and slows training down.
        return keras.optimizers.Adagrad(rate, initial_accumulator_value=0.0)

    num_batches = arguments.epochs * len(train)
    first = {}
    for rate in RATES:
        model = trained_model(
            name,
            adagrad(rate),
            train,
            min(FIRST_BATCHES, num_batches),
            lambda model, count: None,
        )
        bound = mean_bound(model, evaluated[0])
        first[rate] = bound if np.isfinite(bound) else -np.inf
        print(f"Adagrad, rate {rate}: first bound {first[rate]:.2f} nats", flush=True)
    rate = max(RATES, key=lambda rate: first[rate])

    points = np.geomspace(max(num_batches // 1000, 1), num_batches, NUM_POINTS)
    points = set(points.round().astype(int).tolist())
    rows = []
    optimizers = {
        f"Adagrad, rate {rate}": adagrad(rate),
        "Adam, rate 0.001": keras.optimizers.Adam(1e-3),
    }
    for label, optimizer in optimizers.items():

        def after_batch(model, count, label=label):
            if count in points:
                bounds = [mean_bound(model, images) for images in evaluated]
                rows.append((label, count * BATCH_SIZE, *bounds))

        start = time.perf_counter()
        trained_model(name, optimizer, train, num_batches, after_batch)
        seconds = time.perf_counter() - start
        _, seen, *bounds = rows[-1]
        print(
            f"{label}: {seen:,} images in {seconds:.0f} s, train {bounds[0]:.2f}, "
            f"test {bounds[1]:.2f} nats",
            flush=True,
        )

    arguments.output.mkdir(parents=True, exist_ok=True)
    with open(arguments.output / "vae_curve.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*row[:2], *(f"{b:.2f}" for b in row[2:])) for row in rows)
    picture = arguments.output / "vae_curve.png"
    save_plot(picture, rows, "MNIST" if name == "mnist" else name)
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
