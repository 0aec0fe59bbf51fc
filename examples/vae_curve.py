"""Train the paper's VAE with several numbers of latents, and plot the bound on the way.

By default, the example uses the 8x8 digits that scikit-learn ships. With `--data
mnist`, it uses MNIST from tensorflow-datasets, binarized again in each epoch; with
`--data frey_rawface.mat`, the file of Frey Face, https://cs.nyu.edu/~roweis/data.html.
It writes `vae_curve.png` and `vae_curve.csv`, and needs the extra `examples`.

    python examples/vae_curve.py
    python examples/vae_curve.py --data mnist --latents 3 5 10 20 200
    python examples/vae_curve.py --data frey_rawface.mat --latents 2 5 10 20
    python examples/vae_curve.py --data mnist --optimizers adagrad adam

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
BATCH_SIZE = 100
RATES = (0.01, 0.02, 0.1)
# Batches after which a rate is chosen.
FIRST_BATCHES = 600
NUM_POINTS = 40
MOST_IMAGES = 10_000
COLUMNS = ("latents", "optimizer", "training images", "train, nats", "test, nats")


def read_images(data):
    """Return the name of a preset, training batches, and the images to evaluate.

    Args:
        data: `"digits"`, `"mnist"` or the path of `frey_rawface.mat`.
    """
    from keras_genimg import datasets

    name, source, dynamic, fixed = data, data, {"intensities": True}, {}
    if data == "mnist":
        # Pixels that are evaluated are drawn once, so that points are comparable.
        dynamic, fixed = {"binarize": "dynamic"}, {"binarize": "fixed"}
    elif data != "digits":
        name, source = "frey_face", pathlib.Path(data)
    options: dict[str, Any] = {"shuffle": True, "drop_remainder": True, **dynamic}
    train = datasets.load(source, "train", BATCH_SIZE, **options)
    evaluated = [
        datasets.as_array(datasets.load(source, split, **(fixed or dynamic)))
        for split in ("train", "test")
    ]
    return name, train, [images[:MOST_IMAGES] for images in evaluated]


def mean_bound(model, images):
    """Return the mean bound of images in nats, by one sample of the latents each."""
    return float(model.elbo(images, seed=SEED, batch_size=500, verbose=0).mean())


def trained_model(name, latents, optimizer, train, num_batches, after_batch=None):
    """Return a model trained on some batches, always from the same weights.

    Args:
        name: Name of the preset.
        latents: Number of latents.
        optimizer: `"adam"`, or Adagrad's rate.
        train: Data set of batches, read again where it ends.
        num_batches: Number of batches to train on.
        after_batch: None, or a function of the model and of the number of batches.
    """
    import keras

    from keras_genimg.models import VAE

    keras.utils.set_random_seed(0)
    weight_prior = len(train) * BATCH_SIZE
    model = VAE.from_preset(name, latent_dim=latents, weight_prior=weight_prior)
    if optimizer == "adam":
        model.compile(keras.optimizers.Adam(1e-3))
    else:
        # Keras would start the sums of squares at 0.1. That is large beside the squared
        # gradients of a mean over the batch, and slows training down.
        model.compile(
            keras.optimizers.Adagrad(optimizer, initial_accumulator_value=0.0)
        )
    callbacks = []
    if after_batch is not None:
        callbacks = [
            keras.callbacks.LambdaCallback(
                on_train_batch_end=lambda batch, logs: after_batch(model, batch + 1)
            )
        ]
    model.fit(
        train.repeat(), steps_per_epoch=num_batches, verbose=0, callbacks=callbacks
    )
    return model


def best_rate(name, latents, train, num_batches, images):
    """Return the rate of Adagrad with the best bound of images after some batches."""
    import numpy as np

    first = {}
    for rate in RATES:
        model = trained_model(name, latents, rate, train, num_batches)
        bound = mean_bound(model, images)
        first[rate] = bound if np.isfinite(bound) else -np.inf
        print(
            f"{latents} latents, Adagrad, rate {rate}: first bound "
            f"{first[rate]:.2f} nats",
            flush=True,
        )
    return max(RATES, key=lambda rate: first[rate])


def save_plot(path, rows, title):
    """Plot the bound over the training images seen, as a PNG file."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), dpi=100, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    for index, run in enumerate(dict.fromkeys(row[:2] for row in rows)):
        _, _, seen, train, test = zip(*(r for r in rows if r[:2] == run), strict=True)
        label = f"{run[0]} latents, {run[1]}"
        axes.plot(seen, train, "--", color=f"C{index}", label=f"{label}, train")
        axes.plot(seen, test, color=f"C{index}", label=f"{label}, test")
    # Otherwise the first points would leave no room for the others.
    bounds = np.array([row[3:] for row in rows])
    axes.set_ylim(np.percentile(bounds, 20), bounds.max() + bounds.std() / 10)
    axes.set_xscale("log")
    axes.set_xlabel("training images seen")
    axes.set_ylabel("bound, nats")
    axes.set_title(title)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="small")
    figure.savefig(path)


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", default="digits")
    parser.add_argument("--latents", type=int, nargs="+", help="20; 2 for digits")
    parser.add_argument(
        "--optimizers", nargs="+", choices=("adagrad", "adam"), default=["adagrad"]
    )
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--output", type=pathlib.Path, default="outputs/vae_curve")
    arguments = parser.parse_args()
    if arguments.epochs < 1:
        parser.error(f"--epochs must be at least 1, not {arguments.epochs}")

    import numpy as np

    name, train, evaluated = read_images(arguments.data)
    num_batches = arguments.epochs * len(train)
    points = np.geomspace(max(num_batches // 1000, 1), num_batches, NUM_POINTS)
    points = set(points.round().astype(int).tolist())
    rows = []
    for latents in arguments.latents or [2 if name == "digits" else 20]:
        for optimizer in arguments.optimizers:
            label = "Adam, rate 0.001"
            if optimizer == "adagrad":
                batches = min(FIRST_BATCHES, num_batches)
                optimizer = best_rate(name, latents, train, batches, evaluated[0])
                label = f"Adagrad, rate {optimizer}"

            def after_batch(model, count, run=(latents, label)):
                if count in points:
                    bounds = [mean_bound(model, images) for images in evaluated]
                    rows.append((*run, count * BATCH_SIZE, *bounds))

            start = time.perf_counter()
            trained_model(name, latents, optimizer, train, num_batches, after_batch)
            *_, seen, on_train, on_test = rows[-1]
            print(
                f"{latents} latents, {label}: {seen:,} images in "
                f"{time.perf_counter() - start:.0f} s, train {on_train:.2f}, test "
                f"{on_test:.2f} nats",
                flush=True,
            )

    arguments.output.mkdir(parents=True, exist_ok=True)
    with open(arguments.output / "vae_curve.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*row[:3], *(f"{b:.2f}" for b in row[3:])) for row in rows)
    picture = arguments.output / "vae_curve.png"
    titles = {"digits": "8x8 digits", "mnist": "MNIST", "frey_face": "Frey Face"}
    save_plot(picture, rows, f"VAE on {titles[name]}")
    print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
