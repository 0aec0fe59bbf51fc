"""Train with many arguments of `compile` and `fit`, under one strategy.

Run by tests in a process for each strategy, since two in one process may fail.
"""

import dataclasses
import pickle
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf
from keras import optimizers

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from tests.untuned import leave_datasets_untuned

# The last of three batches of 8 has 5 images: 3 on the first replica, 2 on the second.
IMAGES = (np.random.RandomState(0).rand(21, 4, 4, 1) < 0.7).astype("uint8")
# Only images of the second replica have a gradient.
ON_THE_SECOND = np.where(np.arange(21) % 8 < 4, 0.0, 10.0)
WEIGHTS = np.linspace(0, 2, 21)


@dataclasses.dataclass
class Case:
    """Makes an optimizer and arguments of `fit`; those of a layer and `compile`."""

    optimizer: Callable = lambda: sgd()
    fit: Callable = dict
    layer: dict = dataclasses.field(default_factory=dict)
    compile: dict = dataclasses.field(default_factory=dict)

    def result(self, strategy):
        """Return arrays by name: history, weights and variables of the optimizer."""
        keras.utils.set_random_seed(1)
        with strategy.scope():
            images = keras.Input((4, 4, 1))
            hidden = MaskedConv2D(2, 3, mask_type="A", activation="tanh", **self.layer)
            logits = MaskedConv2D(1, 3, mask_type="B", dtype="float32")(hidden(images))
            model = AutoregressiveModel(
                images, logits, "bernoulli", dtype=hidden.dtype_policy
            )
            model.check_causality = False
            model.compile(self.optimizer(), **self.compile)
        options = {"x": IMAGES, "batch_size": 8, "shuffle": False}
        history = model.fit(**{**options, "verbose": 0, **self.fit()}).history
        variables = [*model.trainable_variables, *model.optimizer.variables]
        return {
            **{name: np.array(values) for name, values in history.items()},
            **{f"variable {i}": np.asarray(v.numpy()) for i, v in enumerate(variables)},
        }


def sgd(**options):
    return optimizers.SGD(0.05, **options)


def loss_scaled(optimizer, scale=2.0**15, growth=2):
    return optimizers.LossScaleOptimizer(
        optimizer, initial_scale=scale, dynamic_growth_steps=growth
    )


def several():
    """Return an optimizer of kernels and one of biases, which each clips its own."""
    kernels = optimizers.Adam(0.01, global_clipnorm=0.5)
    biases = sgd(clipnorm=0.1)
    return optimizers.MultiOptimizer(lambda v: biases if "bias" in v.path else kernels)


class Warmup(keras.callbacks.Callback):
    """Set the rate before each batch."""

    def on_train_batch_begin(self, batch, logs=None):
        self.model.optimizer.learning_rate = 0.02 * (batch + 1)


def callbacks(make, **options):
    return lambda: {"callbacks": [make()], "epochs": 3, **options}


def batches():
    return tf.data.Dataset.from_tensor_slices(IMAGES).batch(8)


PLATEAU = {"patience": 1, "min_delta": 10, "factor": 0.1}
AVERAGED = {"use_ema": True, "ema_momentum": 0.8}
CLIPPED = {"clipnorm": 0.5, **AVERAGED}
SCALED = {"global_clipnorm": 0.5, "weight_decay": 0.1, "loss_scale_factor": 1024.0}
# An overflow leaves out steps, so there must be some more.
LONGER = {"epochs": 2}

# SGD with all options. The others take the size out of a gradient, so that they would
# hide some of the errors; each has the options of one row.
CASES = {
    "SGD": Case(),
    "SGD clipnorm, EMA": Case(lambda: sgd(**CLIPPED)),
    "SGD global_clipnorm, weight decay, loss scale": Case(lambda: sgd(**SCALED)),
    "SGD clipvalue": Case(lambda: sgd(clipvalue=0.05)),
    "SGD LossScaleOptimizer": Case(
        lambda: loss_scaled(sgd(global_clipnorm=0.5, **AVERAGED))
    ),
    "Adam": Case(lambda: optimizers.Adam(0.01, **CLIPPED)),
    "AdamW": Case(lambda: optimizers.AdamW(0.01, **SCALED)),
    "Lion": Case(lambda: optimizers.Lion(0.01, clipvalue=0.05)),
    "Muon": Case(lambda: loss_scaled(optimizers.Muon(0.01, global_clipnorm=0.5))),
    # Scaled, the first gradients are infinite, and the steps are left out.
    "overflow": Case(
        lambda: loss_scaled(sgd(clipvalue=0.1), 2.0**127, 9), lambda: LONGER
    ),
    "overflow on the second replica": Case(
        lambda: loss_scaled(sgd(), 2.0**127, 9),
        lambda: {"sample_weight": ON_THE_SECOND, **LONGER},
    ),
    "MultiOptimizer": Case(several, compile={"run_eagerly": True}),
    "MultiOptimizer, LossScaleOptimizer": Case(lambda: loss_scaled(several())),
    "schedule": Case(
        lambda: optimizers.SGD(optimizers.schedules.CosineDecay(0.05, 6)),
        lambda: {"initial_epoch": 1, "epochs": 3},
    ),
    "float16": Case(lambda: sgd(clipnorm=0.5), layer={"dtype": "mixed_float16"}),
    "regularizer, constraint": Case(
        lambda: sgd(clipnorm=0.5),
        layer={
            "kernel_regularizer": keras.regularizers.L2(0.1),
            "kernel_constraint": keras.constraints.UnitNorm(),
        },
    ),
    "metrics": Case(
        fit=lambda: {"sample_weight": WEIGHTS},
        compile={"metrics": ["mae"], "weighted_metrics": ["mse"], "loss_weights": 2.0},
    ),
    "validation_split": Case(
        fit=lambda: {"validation_split": 0.3, "sample_weight": WEIGHTS}
    ),
    "validation_data": Case(
        fit=lambda: {
            "validation_data": IMAGES,
            "validation_batch_size": 3,
            "validation_steps": 2,
        }
    ),
    "steps_per_epoch": Case(fit=lambda: {"steps_per_epoch": 2}),
    "steps_per_epoch alone": Case(
        fit=lambda: {"steps_per_epoch": 2, "batch_size": None}
    ),
    "steps_per_epoch of a data set": Case(
        fit=lambda: {"x": batches().repeat(), "steps_per_epoch": 4, "batch_size": None}
    ),
    "ReduceLROnPlateau": Case(
        lambda: loss_scaled(sgd()),
        callbacks(lambda: keras.callbacks.ReduceLROnPlateau("loss", **PLATEAU)),
    ),
    "rate of each batch": Case(fit=callbacks(Warmup)),
    "EarlyStopping": Case(
        fit=callbacks(
            lambda: keras.callbacks.EarlyStopping(
                "loss", min_delta=10, restore_best_weights=True
            )
        )
    ),
    "SwapEMAWeights": Case(
        lambda: sgd(**AVERAGED),
        callbacks(
            lambda: keras.callbacks.SwapEMAWeights(swap_on_epoch=True),
            validation_data=IMAGES,
        ),
    ),
}


def check_same(found, expected, tolerance=1e-6):
    """Raise unless two results are finite, and the same up to rounding."""
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert np.isfinite(value).all(), name
        np.testing.assert_allclose(found[name], value, 1e-5, tolerance, err_msg=name)


def main(kind, path):
    """Write to a file the results of "one" device, "two", or "workers" of TF_CONFIG."""
    leave_datasets_untuned()
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        cpu, [tf.config.LogicalDeviceConfiguration()] * (2 if kind == "two" else 1)
    )
    strategy = {
        "one": lambda: tf.distribute.OneDeviceStrategy("/cpu:0"),
        "two": lambda: tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"]),
        "workers": tf.distribute.MultiWorkerMirroredStrategy,
    }[kind]()
    found = {name: case.result(strategy) for name, case in CASES.items()}
    with open(path, "wb") as opened:
        pickle.dump(found, opened)
