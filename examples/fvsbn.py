"""Train a logistic autoregression (FVSBN) with a causal layer of your own.

Each pixel is a logistic regression on all pixels before it. The layer below is all that
the model needs: `AutoregressiveModel` checks that it is causal, trains it, and
generates images with `method="fixed_point"`, which works with any causal graph.

    python examples/fvsbn.py
    python examples/fvsbn.py --data mnist --epochs 40

The output folder gets `log.csv`, the loss of each epoch, and `drawn.png`. It needs the
extra `examples`. MNIST is read from the folder that TFDS_DATA_DIR names.
"""

import argparse
import math
import pathlib

from genimg_export.quiet_start import import_tensorflow

import_tensorflow()

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets
from keras_genimg.models import AutoregressiveModel
from keras_genimg.visualization import save_grid


@keras.saving.register_keras_serializable(package="examples")
class LogisticAutoregression(keras.layers.Layer):
    """Dense layer in which each pixel sees the pixels before it, in raster order."""

    def build(self, input_shape):
        size = math.prod(input_shape[1:])
        normal = keras.initializers.RandomNormal(stddev=0.01)
        self.kernel = self.add_weight((size, size), normal, name="kernel")
        self.bias = self.add_weight((size,), "zeros", name="bias")
        # 1 where the first index, of the pixel seen, is below the second.
        self.mask = np.triu(np.ones((size, size), "float32"), 1)

    def call(self, images):
        flat = tf.reshape(tf.cast(images, tf.float32), (-1, len(self.mask)))
        logits = flat @ (self.kernel * self.mask) + self.bias
        return tf.reshape(logits, tf.shape(images))

    def compute_output_shape(self, input_shape):
        return input_shape


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--data", choices=("digits", "mnist"), default="digits")
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--output", type=pathlib.Path, default="outputs/fvsbn")
    arguments = parser.parse_args()

    keras.utils.set_random_seed(0)
    train = datasets.load(
        arguments.data, batch_size=100, shuffle=True, likelihood="bernoulli"
    )
    test = datasets.as_array(
        datasets.load(arguments.data, "test", likelihood="bernoulli", seed=777)
    )
    images = keras.Input(test.shape[1:])
    logits = LogisticAutoregression(dtype="float32")(images)
    model = AutoregressiveModel(images, logits, likelihood="bernoulli", name="fvsbn")
    steps = len(train) * arguments.epochs
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate))
    arguments.output.mkdir(parents=True, exist_ok=True)
    curve = keras.callbacks.CSVLogger(str(arguments.output / "log.csv"))
    model.fit(train, epochs=arguments.epochs, verbose=2, callbacks=[curve])

    nats = -model.log_prob(test)
    error = nats.std() / math.sqrt(len(nats))
    first = nats[:1000]
    print(
        f"{nats.mean():.2f} nats (standard error {error:.2f}), {len(nats)} test "
        f"images; {first.mean():.2f} nats, the first {len(first)}"
    )
    drawn = model.generate(64, seed=0, method="fixed_point")
    save_grid(arguments.output / "drawn.png", model.likelihood.to_display(drawn))


if __name__ == "__main__":
    main()
