"""Compare what small color models learn in a given time of one core.

    python -m tests.benchmarks.color_learning --minutes 30 --output outputs/color
    python -m tests.benchmarks.color_learning --tables --steps 1500

Each model is trained on CIFAR-10 for the same processor time of one core by the same
recipe: Adam, batches of 16, a warm-up, a cosine to zero over the time, and averaged
weights. The table shows the bits per dimension of 500 held-out training images, with
averaged weights, after each quarter of the time. No test image is read. `--steps` gives
all models as many steps instead.

With `--tables`, the models are Row LSTMs as in tables 2 and 3 of the paper: with and
without residual and skip connections, and of several depths. The first and the last of
each table are trained with a second seed too, which shows the spread.

Each model runs in a process of its own. A model whose result for this time, or for this
number of steps, is in the output folder is not trained again. It reads CIFAR-10 from
the folder that TFDS_DATA_DIR names.
"""

import argparse
import json
import math
import os
import pathlib
import time
from functools import partial

import keras
import tensorflow as tf
from keras import layers

from keras_genimg import datasets
from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import (
    AutoregressiveModel,
    GatedPixelCNN,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from keras_genimg.networks.pixel_stacks import centered, make_head
from tests.benchmarks.timing import in_new_process

IMAGE_SHAPE = (32, 32, 3)
BATCH_SIZE = 16
HELD_OUT = 500
QUARTERS = 4
WARMUP_STEPS = 200
EMA_MOMENTUM = 0.998
PEAK_RATE = 2e-3
SECOND = "_second_seed"
MIXTURE = DiscretizedLogisticMixture(256)
HEAD = {"head_filters": 64, "likelihood": MIXTURE}


def wide_pixel_cnn(filters, blocks, first_kernel_size):
    """Return a network with a wide first kernel and 1x1 layers behind it."""
    images = keras.Input(IMAGE_SHAPE)
    x = MaskedConv2D(filters, first_kernel_size, "A")(centered(images, MIXTURE))
    for _ in range(blocks):
        y = MaskedConv2D(filters, 1, "B")(layers.ReLU()(x))
        x = layers.Add()([x, MaskedConv2D(filters, 1, "B")(layers.ReLU()(y))])
    outputs = make_head(MIXTURE, IMAGE_SHAPE[-1], 0, 0, None)(x)
    return AutoregressiveModel(images, outputs, MIXTURE)


def row_lstm(depth, residual, skip):
    """Return a Row LSTM of `--tables`."""
    options = {"layer": "row", "residual": residual, "skip": skip}
    return PixelRNN(IMAGE_SHAPE, 32, depth, **options, **HEAD)


# Functions that make the models. The arguments of Row LSTMs are layers, residual and
# skip connections.
TABLES = {
    "row_lstm_6_neither": partial(row_lstm, 6, False, False),
    "row_lstm_6_skip": partial(row_lstm, 6, False, True),
    "row_lstm_6_residual": partial(row_lstm, 6, True, False),
    "row_lstm_6_both": partial(row_lstm, 6, True, True),
    "row_lstm_1_both": partial(row_lstm, 1, True, True),
    "row_lstm_2_both": partial(row_lstm, 2, True, True),
    "row_lstm_3_both": partial(row_lstm, 3, True, True),
}
for name in ("row_lstm_6_neither", "row_lstm_6_both", "row_lstm_1_both"):
    TABLES[f"{name}{SECOND}"] = TABLES[name]
_CNN = partial(PixelCNN, IMAGE_SHAPE, 64, 5, **HEAD)
MODELS = {
    "pixel_cnn_64x5": _CNN,
    "pixel_cnn_64x5_flips": _CNN,
    "wide_pixel_cnn_192x4": partial(wide_pixel_cnn, 192, 4, 11),
    "gated_pixel_cnn_48x6": partial(GatedPixelCNN, IMAGE_SHAPE, 48, 6, **HEAD),
    "row_lstm_48x3": partial(PixelRNN, IMAGE_SHAPE, 48, 3, layer="row", **HEAD),
    "diagonal_bilstm_40x2": partial(PixelRNN, IMAGE_SHAPE, 40, 2, **HEAD),
    "multi_scale_24x2": partial(
        MultiScalePixelRNN, IMAGE_SHAPE, (8, 16, 32), 24, 2, **HEAD
    ),
    "pixel_cnn_63x5_softmax": partial(
        PixelCNN, IMAGE_SHAPE, 63, 5, head_filters=96, likelihood=Categorical(256)
    ),
}


def train(name, path, seconds, num_steps):
    """Train one model in this process, and write its result and the model.

    Args:
        name: A key of `MODELS` or `TABLES`.
        path: JSON file of the result. The model lies beside it.
        seconds: Processor time to train for.
        num_steps: Number of steps to train for instead, or None.
    """
    keras.utils.set_random_seed(int(name.endswith(SECOND)))
    model = {**MODELS, **TABLES}[name]()
    options = {"likelihood": model.likelihood}
    images = datasets.load(
        "cifar10", "train[:45000]", BATCH_SIZE, shuffle=True, **options
    )
    if name.endswith("flips"):
        images = images.map(tf.image.random_flip_left_right)
    last = f"train[{50_000 - HELD_OUT}:]"
    held_out = datasets.as_array(datasets.load("cifar10", last, **options))
    optimizer = keras.optimizers.Adam(
        PEAK_RATE, global_clipnorm=1.0, use_ema=True, ema_momentum=EMA_MOMENTUM
    )
    model.compile(optimizer)

    class Quarters(keras.callbacks.Callback):
        """Set the rate; evaluate averaged weights each quarter."""

        def on_train_begin(self, logs=None):
            self.rows, self.steps, self.began = [], 0, time.process_time()

        def share(self):
            if num_steps:
                return self.steps / num_steps
            return (time.process_time() - self.began) / seconds

        def on_train_batch_begin(self, batch, logs=None):
            share = min(self.share(), 1)
            rate = PEAK_RATE * (1 + math.cos(math.pi * share)) / 2
            warm = min((self.steps + 1) / WARMUP_STEPS, 1)
            self.model.optimizer.learning_rate = rate * warm

        def on_train_batch_end(self, batch, logs=None):
            self.steps += 1
            if self.share() < (len(self.rows) + 1) / QUARTERS:
                return
            spent = time.process_time() - self.began
            trained = self.model.get_weights()
            optimizer.finalize_variable_values(self.model.trainable_variables)
            bits = float(self.model.bits_per_dim(held_out, verbose=0).mean())
            self.model.set_weights(trained)
            row = {"minutes": spent / 60, "images": self.steps * BATCH_SIZE}
            self.rows.append({**row, "bits_per_dim": bits})
            print(name, self.rows[-1], flush=True)
            self.began = time.process_time() - spent
            self.model.stop_training = len(self.rows) == QUARTERS

    quarters = Quarters()
    model.fit(images, epochs=10**6, verbose=0, callbacks=[quarters])
    model.save(path.with_suffix(".keras"))
    result = {"weights": model.count_params(), "quarters": quarters.rows}
    path.write_text(json.dumps(result, indent=1) + "\n")


def main():
    """Train the models that have no result yet, and print the table."""
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument("--minutes", type=float, default=30.0)
    budget.add_argument("--steps", type=int)
    parser.add_argument("--tables", action="store_true", help="Row LSTMs only")
    parser.add_argument("--output", type=pathlib.Path, default="outputs/color_learning")
    arguments = parser.parse_args()
    unit = "minutes" if arguments.steps is None else "steps"
    amount = getattr(arguments, unit)
    if not amount > 0:
        parser.error(f"--{unit} must be above 0, not {amount}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    names = TABLES if arguments.tables else MODELS
    paths = {name: arguments.output / f"{name}_{amount}_{unit}.json" for name in names}
    # Read when a new process imports TensorFlow.
    os.environ |= dict.fromkeys(
        ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
    )
    for name, path in paths.items():
        if not path.exists():
            seconds = 60 * arguments.minutes
            in_new_process(train, name, path, seconds, arguments.steps)
    print(f"{'':<30}  weights  bits/dim (images) after each quarter")
    for name, path in paths.items():
        result = json.loads(path.read_text())
        cells = "  ".join(
            f"{row['bits_per_dim']:.3f} ({row['images']:,})"
            for row in result["quarters"]
        )
        print(f"{name:<30} {result['weights']:>8,}  {cells}")


if __name__ == "__main__":
    main()
