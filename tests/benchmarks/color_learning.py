"""Which small color model learns most in a given time of one core?

    python -m tests.benchmarks.color_learning --minutes 30 --output outputs/color

Each model is trained on CIFAR-10 for the same processor time of one core by the same
recipe: Adam, batches of 16, a warm-up, a cosine to zero over the time, and averaged
weights. The table shows the bits per dimension of 500 held-out training images, with
averaged weights, after each quarter of the time. No test image is read.

Each model runs in a process of its own. A model whose result is in the output folder is
not trained again. `--only` trains some of them. It reads CIFAR-10 from the folder that
TFDS_DATA_DIR names.
"""

import argparse
import json
import math
import os
import pathlib
import subprocess
import sys
import time

import keras
from keras import layers

from keras_genimg import datasets
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import AutoregressiveModel, PixelCNN, PixelRNN
from keras_genimg.networks.heads import centered, with_head

IMAGE_SHAPE = (32, 32, 3)
BATCH_SIZE = 16
HELD_OUT = 500
QUARTERS = 4
WARMUP_STEPS = 200
EMA_MOMENTUM = 0.998
PEAK_RATE = 2e-3
MIXTURE = DiscretizedLogisticMixture(256)
HEAD = {"head_filters": 64, "likelihood": MIXTURE}


def wide_pixel_cnn(filters, blocks, first_kernel_size):
    """Return a network with a wide first kernel and 1x1 layers behind it."""
    images = keras.Input(IMAGE_SHAPE)
    x = MaskedConv2D(filters, first_kernel_size, "A")(centered(images, MIXTURE))
    for _ in range(blocks):
        y = MaskedConv2D(filters, 1, "B")(layers.ReLU()(x))
        x = layers.Add()([x, MaskedConv2D(filters, 1, "B")(layers.ReLU()(y))])
    outputs = with_head(x, [], MIXTURE, IMAGE_SHAPE[-1], None)
    return AutoregressiveModel(images, outputs, MIXTURE)


MODELS = {
    "pixel_cnn_64x5": lambda: PixelCNN(IMAGE_SHAPE, 64, 5, **HEAD),
    "wide_pixel_cnn_192x4": lambda: wide_pixel_cnn(192, 4, 11),
    "row_lstm_48x3": lambda: PixelRNN(IMAGE_SHAPE, 48, 3, layer="row", **HEAD),
}


class Quarters(keras.callbacks.Callback):
    """Set the rate by processor time; evaluate averaged weights each quarter.

    Args:
        seconds: Processor time of the training, without the evaluations.
        held_out: Images to evaluate.
    """

    def __init__(self, seconds, held_out):
        super().__init__()
        self.seconds, self.held_out, self.rows = seconds, held_out, []
        self.spent, self.steps = 0.0, 0

    def on_train_begin(self, logs=None):
        self.started = time.process_time()

    def on_train_batch_begin(self, batch, logs=None):
        share = (self.spent + time.process_time() - self.started) / self.seconds
        rate = PEAK_RATE * (1 + math.cos(math.pi * min(share, 1))) / 2
        warm = min((self.steps + 1) / WARMUP_STEPS, 1)
        self.model.optimizer.learning_rate = rate * warm

    def on_train_batch_end(self, batch, logs=None):
        self.steps += 1
        spent = self.spent + time.process_time() - self.started
        if spent >= self.seconds * (len(self.rows) + 1) / QUARTERS:
            self.spent = spent
            self.evaluate()
            self.started = time.process_time()
        self.model.stop_training = len(self.rows) == QUARTERS

    def evaluate(self):
        trained = self.model.get_weights()
        weights = self.model.trainable_variables
        self.model.optimizer.finalize_variable_values(weights)
        bits = self.model.bits_per_dim(self.held_out, verbose=0)
        self.model.set_weights(trained)
        row = {
            "minutes": self.spent / 60,
            "images": self.steps * BATCH_SIZE,
            "bits_per_dim": float(bits.mean()),
        }
        self.rows.append(row)
        print(self.model.name, row, flush=True)


def train(name, minutes, folder):
    """Train one model in this process; write it and its result to a folder."""
    keras.utils.set_random_seed(0)
    model = MODELS[name]()
    options = {"likelihood": model.likelihood}
    images = datasets.load(
        "cifar10", "train[:45000]", BATCH_SIZE, shuffle=True, **options
    )
    last = f"train[{50_000 - HELD_OUT}:]"
    held_out = datasets.as_array(datasets.load("cifar10", last, **options))
    model.compile(
        keras.optimizers.Adam(
            PEAK_RATE, global_clipnorm=1.0, use_ema=True, ema_momentum=EMA_MOMENTUM
        )
    )
    quarters = Quarters(60 * minutes, held_out)
    model.fit(images, epochs=10**6, verbose=0, callbacks=[quarters])
    model.save(f"{folder}/{name}.keras")
    result = {"weights": model.count_params(), "quarters": quarters.rows}
    text = json.dumps({**result, "minutes": minutes}, indent=1)
    pathlib.Path(folder, f"{name}.json").write_text(text + "\n")


def main():
    """Train the models that have no result yet, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--minutes", type=float, default=30.0)
    names = list(MODELS)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--output", type=pathlib.Path, default="outputs/color_learning")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    one_thread = dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
    )
    for name in options.only:
        if not (options.output / f"{name}.json").exists():
            given = name, options.minutes, str(options.output)
            code = "from tests.benchmarks.color_learning import train; "
            command = [sys.executable, "-c", f"{code}train{given!r}"]
            subprocess.run(command, env={**os.environ, **one_thread}, check=True)
    print(f"{'':<24}  weights  bits/dim (images) after each quarter")
    for name in options.only:
        result = json.loads((options.output / f"{name}.json").read_text())
        cells = "  ".join(
            f"{row['bits_per_dim']:.3f} ({row['images']:,})"
            for row in result["quarters"]
        )
        print(f"{name:<24} {result['weights']:>8,}  {cells}")


if __name__ == "__main__":
    main()
