"""Recipes: optimizers that fit the length of a run."""

import keras
import numpy as np
import pytest

from keras_genimg.presets.preset import Recipe


@pytest.mark.parametrize("steps", [1, 10, 200, 5000])
def test_the_first_weights_have_next_to_no_weight_in_the_average(steps):
    optimizer = Recipe(1, 32, 1.0, ema_momentum=0.999).optimizer(steps)
    assert optimizer.ema_momentum**steps < 1e-4


def test_long_runs_have_the_momentum_of_the_recipe():
    recipe = Recipe(34, 64, 2e-3, ema_momentum=0.999)
    assert recipe.optimizer(859).ema_momentum == 0.999
    assert recipe.optimizer(859, epochs=1).ema_momentum < 0.99


def test_a_short_run_ends_with_trained_weights():
    """`fit` leaves the average in the model."""
    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(640, 3)).astype("float32")
    y = x @ np.float32([[1], [-2], [3]])
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1)])
    recipe = Recipe(10, 32, 0.1, ema_momentum=0.999)
    model.compile(recipe.optimizer(20), "mse")
    model.fit(x, y, batch_size=32, epochs=10, verbose=0)
    assert model.evaluate(x, y, verbose=0) < 0.01
