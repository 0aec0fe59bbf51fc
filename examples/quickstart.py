"""Generate digits with trained models, then train a PixelRNN and export it.

Models whose trained weights are in the package generate the first picture, `mnist.png`,
within seconds. The training works offline too, on the 1,797 digits of 8x8 pixels
and 17 gray levels that scikit-learn ships. The second picture, `digits.png`, has both:
real digits, those of the trained model, and those of the weights in the package. It
needs the extra `examples`.

    python examples/quickstart.py
    python examples/quickstart.py --epochs 1 --output outputs/try
"""

import argparse
import math
import pathlib
import subprocess
import sys
import time

NUM_VALUES = 17
SEED = 100

# Panels of the first picture, and the models of their images. The VAE is the fastest.
TRAINED = {
    "Drawn by a VAE": "VAE/mnist_50",
    "By a PixelRNN": "PixelRNN/mnist_diagonal_1x32",
}
DIGIT_SIZE = 56  # Digits of 8x8 and of 28x28 pixels get this size in a picture.

# Runs in a new process in which this library and Keras cannot be imported.
DRAW_FROM_SAVED_MODEL = """
import logging
import sys
logging.getLogger("absl").setLevel("ERROR")  # Otherwise, it warns of gradients.
sys.modules["keras_genimg"] = sys.modules["keras"] = None
import numpy as np
from genimg_export.quiet_start import import_tensorflow
import_tensorflow()
import tensorflow as tf
path, output, seed, num_images = sys.argv[1:]
model = tf.saved_model.load(path)
seeds = int(seed) + np.arange(int(num_images))
np.save(output, model.signatures["sample"](seed=tf.constant(seeds))["images"])
"""


def draw_with_trained_models(picture):
    """Generate digits of 28x28 pixels with weights in the package; return the last."""
    from keras_genimg import models
    from keras_genimg.presets import find_preset
    from keras_genimg.visualization import save_comparison

    panels = {}
    for title, preset in TRAINED.items():
        family, name = find_preset(preset)
        family = getattr(models, family)
        model = family.from_preset(name, weights=True)
        panels[title] = model.likelihood.to_display(model.generate(64, seed=SEED))
    save_comparison(picture, panels, scale=2)
    *_, last = panels.values()
    return last


def independent_pixels_nats(train, test):
    """Return the mean nats of test images under a histogram for each pixel.

    Histograms count the values of the training images, plus one for each value.
    """
    import numpy as np

    counts = (train[..., None] == np.arange(NUM_VALUES)).sum(axis=0) + 1.0
    log_prob = np.log(counts / counts.sum(axis=-1, keepdims=True))
    chosen = np.take_along_axis(log_prob[None], test[..., None].astype(int), -1)
    return -chosen.sum(axis=(1, 2, 3, 4)).mean()


def enlarged(images):
    """Return square images with `DIGIT_SIZE` pixels along each side."""
    scale = DIGIT_SIZE // images.shape[1]
    return images.repeat(scale, axis=1).repeat(scale, axis=2)


def draw_in_new_process(saved_model, output, num_images):
    """Generate images with a SavedModel in a process without keras_genimg."""
    import numpy as np

    command = [sys.executable, "-c", DRAW_FROM_SAVED_MODEL]
    arguments = [str(saved_model), str(output), str(SEED), str(num_images)]
    subprocess.run(command + arguments, check=True)
    return np.load(output)


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--epochs", type=int, help="30 by default")
    parser.add_argument("--output", type=pathlib.Path, default="outputs/quickstart")
    arguments = parser.parse_args()

    start = time.monotonic()
    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras

    from keras_genimg import datasets
    from keras_genimg.models import PixelRNN
    from keras_genimg.serving import publish
    from keras_genimg.visualization import save_comparison

    arguments.output.mkdir(parents=True, exist_ok=True)
    picture = arguments.output / "mnist.png"
    mnist = draw_with_trained_models(picture)
    print(f"Wrote {picture} after {time.monotonic() - start:.0f} s")

    keras.utils.set_random_seed(0)
    train, test = (
        datasets.as_array(datasets.load("digits", split, num_values=NUM_VALUES))
        for split in ("train", "test")
    )

    model = PixelRNN.from_preset("digits_diagonal")
    recipe = PixelRNN.presets["digits_diagonal"].recipe
    epochs, batch_size = arguments.epochs or recipe.epochs, recipe.batch_size
    model.compile(recipe.optimizer(math.ceil(len(train) / batch_size), epochs))
    model.fit(train, batch_size=batch_size, epochs=epochs, verbose=2)

    dims = math.prod(model.image_shape)
    nats = {
        "PixelRNN, diagonal": -model.log_prob(test).mean(),
        "independent pixels": independent_pixels_nats(train, test),
        "uniform noise": dims * math.log(NUM_VALUES),
    }
    print(f"\n{len(test)} test digits      nats/image  bits/dim")
    for name, value in nats.items():
        print(f"{name:<20} {value:>12.2f} {value / dims / math.log(2):>9.3f}")

    drawn = model.likelihood.to_display(model.generate(64, seed=SEED))
    picture = arguments.output / "digits.png"
    real = model.likelihood.to_display(test[:64])
    panels = {
        "Real digits (test)": real,
        f"Drawn after {epochs} epochs": drawn,
        "Drawn by weights in the package (MNIST)": mnist,
    }
    save_comparison(picture, {k: enlarged(x) for k, x in panels.items()}, scale=1)
    print(f"\nWrote {picture}: test digits, digits of this model, and digits of 28x28")
    print("pixels by a PixelRNN whose trained weights are in the package")

    model.save(arguments.output / "digits.keras")
    print(f"Wrote {arguments.output / 'digits.keras'}")
    options = {"batch_sizes": (), "verify": False, "batching": False}
    saved_model = publish(model, arguments.output, "digits", **options)
    served = draw_in_new_process(saved_model, arguments.output / "served.npy", 64)
    if not (served == drawn).all():
        differing = int((served != drawn).any(axis=(1, 2, 3)).sum())
        sys.exit(f"The SavedModel drew {differing} of 64 images differently.")
    print("A process without keras_genimg drew the same 64 images from it.")


if __name__ == "__main__":
    main()
