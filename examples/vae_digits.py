"""Train a VAE on handwritten digits or faces and look at its latent space.

By default, the example uses the 8x8 digits that scikit-learn ships and two latent
dimensions, and draws a picture of the latent plane. With `--data mnist`, it uses MNIST
from tensorflow-datasets, binarized again in each epoch; with `--data frey_face`, Frey
Face, see `keras_genimg.datasets.load`. It needs the extra `examples`.

    python examples/vae_digits.py
    python examples/vae_digits.py --data mnist
    python examples/vae_digits.py --data frey_face --latent-dim 2

The picture of the plane is like those in appendix A of Auto-Encoding Variational
Bayes, https://arxiv.org/abs/1312.6114.
"""

import argparse
import pathlib
import time

SEED = 100
NUM_IMAGES = 10
DATA = ("digits", "mnist", "frey_face")


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=DATA, default="digits")
    parser.add_argument("--epochs", type=int, help="300; 60 for MNIST, 500 for faces")
    parser.add_argument("--latent-dim", type=int, help="2; 20 for MNIST, 10 for faces")
    parser.add_argument("--samples", type=int, default=100, help="for log_prob")
    parser.add_argument("--output", type=pathlib.Path, default="outputs/vae_digits")
    arguments = parser.parse_args()

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np

    from keras_genimg import datasets
    from keras_genimg.models import VAE
    from keras_genimg.visualization import (
        latent_manifold,
        save_comparison,
        save_grid,
    )

    keras.utils.set_random_seed(0)
    overrides = {"latent_dim": arguments.latent_dim} if arguments.latent_dim else {}
    model = VAE.from_preset(arguments.data, **overrides)
    likelihood = model.likelihood
    recipe = VAE.presets[arguments.data].recipe
    epochs = arguments.epochs or recipe.epochs
    train = datasets.load(
        arguments.data, "train", recipe.batch_size, shuffle=True, likelihood=likelihood
    )
    test = datasets.load(arguments.data, "test", likelihood=likelihood)
    test = datasets.as_array(test)  # Binarized once.

    model.compile(recipe.optimizer(len(train), epochs))
    start = time.perf_counter()
    model.fit(train, epochs=epochs, verbose=2)
    print(f"\nTrained for {time.perf_counter() - start:.0f} s")
    arguments.output.mkdir(parents=True, exist_ok=True)
    model.save(arguments.output / "model.keras")

    elbo = model.elbo(test, num_samples=10, seed=SEED)
    bound = model.log_prob(test, num_samples=arguments.samples, seed=SEED)
    print(f"{len(test)} test images: ELBO {elbo.mean():.2f} nats, importance-weighted")
    print(f"bound of {arguments.samples} samples {bound.mean():.2f} nats")

    display = model.likelihood.to_display
    pairs = np.stack(
        [test[:NUM_IMAGES], model.reconstruct(test[:NUM_IMAGES], seed=SEED)], axis=1
    )
    pairs = display(pairs.reshape(-1, *model.image_shape))
    drawn = display(model.generate(5 * NUM_IMAGES, seed=SEED))
    scale = 112 // model.image_shape[0] // 2
    picture = arguments.output / "digits.png"
    panels = {
        "Test images, reconstructed": pairs,
        "Drawn": drawn,
    }
    save_comparison(picture, panels, columns=NUM_IMAGES, scale=scale)
    print(f"Wrote {picture}")
    if model.latent_dim == 2:
        picture = arguments.output / "manifold.png"
        plane = latent_manifold(model, size=20)
        scale = 32 // model.image_shape[0]
        save_grid(picture, plane, columns=20, padding=0, scale=scale)
        print(f"Wrote {picture}")


if __name__ == "__main__":
    main()
