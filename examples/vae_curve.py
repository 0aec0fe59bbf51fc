"""Compare ways to train the paper's VAE, and plot what is reached on the way.

By default, the example uses the 8x8 digits that scikit-learn ships. With `--data
mnist`, it uses MNIST from tensorflow-datasets, binarized again in each epoch; with
`--data frey_face`, Frey Face, see `keras_genimg.datasets.load`.
It writes `vae_curve.png` and `vae_curve.csv`, and needs the extra `examples`.

    python examples/vae_curve.py
    python examples/vae_curve.py --data mnist --latents 3 5 10 20 200
    python examples/vae_curve.py --data frey_face --latents 2 5 10 20
    python examples/vae_curve.py --data mnist --latents 3 --hidden-units 100 \
        --methods aevb wake_sleep mcem --train-images 1000 50000 --marginal

The training follows section 5 of Auto-Encoding Variational Bayes,
https://arxiv.org/abs/1312.6114: batches of 100 images, one sample of the latents for
each, a prior N(0, I) on all weights, and Adagrad with one of three rates, chosen by
training images after the first iterations. The plots are like its figures 2 and, by
the last command, 3. The methods:

- `aevb`, the paper's, is what `fit` of a VAE does, and `aevb_adam` the same with Adam;
- `full_vb`, full variational Bayes, also has a posterior of the decoder's weights, as
  in appendix F; the bound is that of the weights' means;
- `wake_sleep` is a model with its own training step;
- `mcem`, Monte Carlo expectation maximization, is a loop around the model's decoder.
"""

import argparse
import csv
import dataclasses
import pathlib
import time
from typing import Any

from genimg_export.arguments import integer
from genimg_export.quiet_start import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf
import tensorflow_probability as tfp

from keras_genimg import datasets
from keras_genimg.models import VAE

SEED = 100
BATCH_SIZE = 100
RATES = (0.01, 0.02, 0.1)
# Batches after which a rate is chosen.
FIRST_BATCHES = 600
COLUMNS = ("run", "training images", "train, nats", "test, nats")
TITLES = {"digits": "8x8 digits", "mnist": "MNIST", "frey_face": "Frey Face"}
LABELS = {
    "aevb": "AEVB",
    "aevb_adam": "AEVB with Adam",
    "full_vb": "full VB",
    "wake_sleep": "wake-sleep",
    "mcem": "Monte Carlo EM",
}


class OtherVAE(VAE):
    """VAE with a training step of its own, on the `loss` that `logs_of` returns."""

    def logs_of(self, images):
        """Return the logs of a batch of images, among them the loss."""
        raise NotImplementedError

    def posterior_of(self, images):
        """Return the distribution of the latents of images."""
        params = self.latent.parameters(self.encoder(images))
        return self.latent.posterior.distribution(params)

    def train_step(self, data):
        images, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        with tf.GradientTape() as tape:
            logs = self.logs_of(tf.cast(images, "float32"))
        weights = self.trainable_weights
        self.optimizer.apply(tape.gradient(logs["loss"], weights), weights)
        return logs


class WakeSleep(OtherVAE):
    """VAE trained by the wake-sleep algorithm.

    The decoder learns to make images from the encoder's latents, and the encoder to
    find the latents of the decoder's images.

    References:
        Hinton et al., The wake-sleep algorithm for unsupervised neural networks, 1995
    """

    def logs_of(self, images):
        z = tf.stop_gradient(self.posterior_of(images).sample())
        wake = self.likelihood.log_prob_of_images(self.decoder(z), images)
        z = self.latent.prior.standard(self.latent_dim).sample(tf.shape(images)[0])
        dream = self.likelihood.distribution(self.decoder(z)).sample()
        dream = tf.stop_gradient(tf.cast(dream, "float32"))
        sleep = self.posterior_of(dream).log_prob(z)
        return {"loss": -tf.reduce_mean(wake + sleep) + tf.add_n(self.losses)}


class FullVariationalBayes(OtherVAE):
    """VAE with a normal posterior of each weight of the decoder.

    The model's own weights are the means. The prior of a weight is N(0, 1).

    Args:
        num_images: Number of training images.
        **kwargs: Arguments of `VAE`.

    References:
        Kingma and Welling, Auto-Encoding Variational Bayes, 2013, appendix F
    """

    def __init__(self, num_images, **kwargs):
        super().__init__(**kwargs)
        self.num_images = num_images
        self.log_stddevs = [
            self.add_weight(weight.shape, keras.initializers.Constant(-4.0))
            for weight in self.decoder.trainable_weights
        ]

    def logs_of(self, images):
        posterior = self.posterior_of(images)
        weights, divergence = [], 0.0
        pairs = zip(self.decoder.trainable_weights, self.log_stddevs, strict=True)
        for mean, log_stddev in pairs:
            stddev = tf.exp(log_stddev)
            weights.append(mean + stddev * tf.random.normal(mean.shape))
            nats = (mean**2 + stddev**2 - 1) / 2 - tf.math.log(stddev)
            divergence += tf.reduce_sum(nats)
        params, _ = self.decoder.stateless_call(weights, [], posterior.sample())
        likelihood = self.likelihood.log_prob_of_images(params, images)
        bound = tf.reduce_mean(likelihood - self.latent.divergence(posterior))
        loss = divergence / self.num_images - bound
        return {"loss": loss, "nats_of_weights": divergence}


def monte_carlo_em(model, images, num_batches, after_batch):
    """Train a VAE's decoder on samples of the true posterior.

    Each image has a Markov chain. A batch moves its chains by one transition of
    Hamiltonian Monte Carlo with ten leapfrog steps, whose size adapts to an acceptance
    of 90 %, and then takes five steps of the optimizer, as in the paper.

    Args:
        model: Compiled `VAE`.
        images: Probabilities of its pixels, which are drawn again in each epoch.
        num_batches: Number of batches to train on.
        after_batch: See `trained_model`.
    """
    generator = np.random.default_rng(0)
    chains = generator.normal(size=(len(images), model.latent_dim)).astype("float32")
    prior = model.latent.prior.standard(model.latent_dim)
    step_size = tf.Variable(tf.constant(0.1))

    @tf.function
    def train(batch, z):
        def log_joint(z):
            params = model.decoder(z)
            likelihood = model.likelihood.log_prob_of_images(params, batch)
            return prior.log_prob(z) + likelihood

        kernel = tfp.mcmc.HamiltonianMonteCarlo(log_joint, step_size.value(), 10)
        z, result = kernel.one_step(z, kernel.bootstrap_results(z))
        accepted = tf.reduce_mean(tf.cast(result.is_accepted, "float32"))
        step_size.assign(step_size * tf.where(accepted > 0.9, 1.02, 0.98))
        weights = model.decoder.trainable_weights
        for _ in range(5):
            with tf.GradientTape() as tape:
                loss = -tf.reduce_mean(log_joint(z)) + tf.add_n(model.decoder.losses)
            model.optimizer.apply(tape.gradient(loss, weights), weights)
        return z

    model.optimizer.build(model.decoder.trainable_weights)
    order = np.array([], int)
    for count in range(1, num_batches + 1):
        if len(order) < BATCH_SIZE:
            order = generator.permutation(len(images))
            pixels = (generator.random(images.shape) < images).astype("float32")
        rows, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
        chains[rows] = train(pixels[rows], chains[rows])
        after_batch(model, count)


@dataclasses.dataclass
class Data:
    """Images of a data set.

    Attributes:
        preset: Name of the data set, and of a preset of `VAE`.
        train: `tf.data.Dataset` of batches.
        probabilities: The training images as real numbers.
        evaluated: Training and test images to evaluate.
    """

    preset: str
    train: Any
    probabilities: np.ndarray
    evaluated: list


def read_data(data, num_train, num_evaluated):
    """Return the `Data` of one of `TITLES`."""
    dynamic: dict[str, Any] = {"intensities": True}
    fixed: dict[str, Any] = dynamic
    if data == "mnist":
        # Pixels that are evaluated are drawn once, so that points are comparable.
        dynamic, fixed = {"binarize": "dynamic"}, {"binarize": "fixed"}
    split = f"train[:{num_train}]" if num_train else "train"
    train = datasets.load(
        data, split, BATCH_SIZE, shuffle=True, drop_remainder=True, **dynamic
    )
    images = datasets.as_array(datasets.load(data, split, intensities=True))
    evaluated = [
        datasets.as_array(datasets.load(data, split, **fixed))[:num_evaluated]
        for split in ("train", "test")
    ]
    return Data(data, train, images, evaluated)


@dataclasses.dataclass(frozen=True)
class Run:
    """One way to train.

    Attributes:
        method: A key of `LABELS`.
        data: `Data`.
        latents: Number of latents.
        hidden_units: Units of each hidden layer, or None for those of the preset.
        marginal: Whether to evaluate the marginal likelihood instead of the bound.
    """

    method: str
    data: Data
    latents: int
    hidden_units: int | None
    marginal: bool

    def evaluate(self, model, images, marginal=True):
        """Return the mean bound of images, or log-likelihood, in nats."""
        if marginal and self.marginal:
            nats = model.marginal_log_likelihood(
                images, seed=SEED, batch_size=len(images), verbose=0
            )
        else:
            # One sample of the latents for each image.
            nats = model.elbo(images, seed=SEED, batch_size=500, verbose=0)
        return float(nats.mean())

    def train(self, rate, num_batches, after_batch=lambda model, count: None):
        """Return a model trained on some batches, always from the same weights.

        Args:
            rate: Learning rate.
            num_batches: Number of batches to train on.
            after_batch: Function of the model and of the number of batches so far.
        """
        keras.utils.set_random_seed(0)
        num_images = len(self.data.train) * BATCH_SIZE
        options: dict[str, Any] = {"latent_dim": self.latents}
        if self.hidden_units:
            options["hidden_units"] = self.hidden_units
        if self.method == "full_vb":
            make, options["num_images"] = FullVariationalBayes, num_images
        else:
            make = WakeSleep if self.method == "wake_sleep" else VAE
            options["weight_prior"] = num_images
        model = make.from_preset(self.data.preset, **options)
        if self.method == "aevb_adam":
            model.compile(keras.optimizers.Adam(rate))
        else:
            # Keras would start the sums of squares at 0.1. That is large next to the
            # squared gradients of a mean over the batch, and slows training down.
            model.compile(keras.optimizers.Adagrad(rate, initial_accumulator_value=0.0))
        if self.method == "mcem":
            monte_carlo_em(model, self.data.probabilities, num_batches, after_batch)
            return model
        callback = keras.callbacks.LambdaCallback(
            on_train_batch_end=lambda batch, logs: after_batch(model, batch + 1)
        )
        batches = self.data.train.repeat()
        model.fit(batches, steps_per_epoch=num_batches, verbose=0, callbacks=[callback])
        return model

    def best_rate(self, num_batches):
        """Return the rate with the best training images after some batches."""
        if self.method == "aevb_adam":
            return 0.001
        first = {}
        for rate in RATES:
            model = self.train(rate, num_batches)
            # Only the bound shows that training diverged.
            marginal = self.method == "mcem"
            nats = self.evaluate(model, self.data.evaluated[0], marginal)
            first[rate] = nats if np.isfinite(nats) else -np.inf
            print(f"{self}, rate {rate}: first {first[rate]:.2f} nats", flush=True)
        return max(RATES, key=lambda rate: first[rate])

    def __str__(self):
        latents = "1 latent" if self.latents == 1 else f"{self.latents} latents"
        return f"{LABELS[self.method]}, {latents}"


def save(folder, rows, preset, marginal):
    """Write all curves so far as a CSV file and as a plot."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.4, 4), dpi=100, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    for index, label in enumerate(dict.fromkeys(row[0] for row in rows)):
        _, seen, train, test = zip(*(r for r in rows if r[0] == label), strict=True)
        axes.plot(seen, train, "--", color=f"C{index}", label=f"{label}, train")
        axes.plot(seen, test, color=f"C{index}", label=f"{label}, test")
    # Otherwise the first points would leave no room for the others.
    nats = np.array([row[2:] for row in rows])
    axes.set_ylim(np.percentile(nats, 20), nats.max() + nats.std() / 10)
    axes.set_xscale("log")
    axes.set_xlabel("training images seen")
    axes.set_ylabel("log-likelihood, nats" if marginal else "bound, nats")
    axes.set_title(TITLES[preset])
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize="x-small")
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(folder / "vae_curve.png")
    with open(folder / "vae_curve.csv", "w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows((*row[:2], *(f"{n:.2f}" for n in row[2:])) for row in rows)


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=TITLES, default="digits")
    parser.add_argument("--methods", nargs="+", choices=LABELS, default=["aevb"])
    parser.add_argument("--latents", type=int, nargs="+", help="20; 2 for digits")
    parser.add_argument("--hidden-units", type=int, help="those of the preset")
    parser.add_argument("--train-images", type=int, nargs="+", default=[0], help="all")
    epochs = "of all images (60)"
    parser.add_argument("--epochs", type=integer(1), default=60, help=epochs)
    parser.add_argument(
        "--marginal", action="store_true", help="log p(x) of 1,000 images, not bounds"
    )
    parser.add_argument("--output", type=pathlib.Path, default="outputs/vae_curve")
    arguments = parser.parse_args()
    if "mcem" in arguments.methods and not arguments.marginal:
        parser.error("mcem trains no encoder, so it has no bound: add --marginal")

    rows = []
    num_evaluated, num_points = (1000, 10) if arguments.marginal else (10_000, 40)
    everything = read_data(arguments.data, 0, num_evaluated)
    num_batches = arguments.epochs * len(everything.train)
    points = np.geomspace(max(num_batches // 1000, 1), num_batches, num_points)
    points = set(points.round().astype(int).tolist())
    for num_train in arguments.train_images:
        data = read_data(arguments.data, num_train, num_evaluated)
        for latents in arguments.latents or [2 if data.preset == "digits" else 20]:
            for method in arguments.methods:
                options = latents, arguments.hidden_units, arguments.marginal
                run = Run(method, data, *options)
                rate = run.best_rate(min(FIRST_BATCHES, num_batches))
                label = f"{run}, rate {rate}"
                label += f", {num_train:,} images" if num_train else ""

                def after_batch(model, count, run=run, label=label):
                    if count in points:
                        nats = [run.evaluate(model, x) for x in run.data.evaluated]
                        rows.append((label, count * BATCH_SIZE, *nats))

                start = time.perf_counter()
                run.train(rate, num_batches, after_batch)
                seconds = time.perf_counter() - start
                _, seen, train, test = rows[-1]
                print(
                    f"{label}: {seen:,} images seen in {seconds:.0f} s, train "
                    f"{train:.2f}, test {test:.2f} nats",
                    flush=True,
                )
                save(arguments.output, rows, everything.preset, arguments.marginal)
    print(f"Wrote {arguments.output / 'vae_curve.png'}")


if __name__ == "__main__":
    main()
