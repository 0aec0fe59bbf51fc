"""Layers whose methods for the sampler disagree with `call` are detected."""

from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality.sampler_check import (
    first_disagreement,
    sampler_difference,
    tolerance,
)
from keras_genimg.generation import sampler
from keras_genimg.layers import DiagonalBiLSTM
from keras_genimg.models import PixelCNN
from tests.causality.wired import wired
from tests.fuzz.own_layers import WrongStep
from tests.sampling.forced import random_images
from tests.seldom import slow_but

SHAPE = (4, 5, 1)


class Slanted(DiagonalBiLSTM):
    """A causal layer whose `step` disagrees with its `call` by a factor."""

    def __init__(self, units, num_colors=1, factor=1.02, **kwargs):
        super().__init__(units, num_colors, **kwargs)
        self.factor = factor

    def step(self, *arguments, **others):
        output, carry, kept = super().step(*arguments, **others)
        return output * self.factor, carry, kept

    def get_config(self):
        return {**super().get_config(), "factor": self.factor}


@pytest.mark.parametrize("colors", slow_but([1, 3], 3))
def test_a_step_that_disagrees_with_call_is_named(colors):
    shape = 2, 3, colors
    model = wired(Slanted(6, colors, name="slanted"), shape)
    images = random_images(model)
    assert (sampler_difference(model, images).numpy() > 1e-3).all()
    assert first_disagreement(model, images).name == "slanted"
    right = wired(Slanted(6, colors, factor=1), shape)
    assert (sampler_difference(right, images).numpy() < 1e-5).all()


@pytest.mark.parametrize("policy", ["float64", "mixed_bfloat16", "mixed_float16"])
def test_a_planted_fault_exceeds_the_tolerance_of_every_precision(policy):
    def difference_and_limit(factor):
        slanted = Slanted(6, factor=factor, dtype=policy)
        model = wired(slanted, (3, 4, 1), dtype=policy)
        images = random_images(model)
        difference = sampler_difference(model, images).numpy().max()
        return difference, tolerance(model, images)

    half = "16" in policy
    difference, limit = difference_and_limit(1)
    assert difference <= limit
    assert (1e-4 < limit < 0.1) if half else limit == 1e-4
    difference, limit = difference_and_limit(1.5 if half else 1.001)
    assert difference > limit


def test_parameters_that_are_not_finite_pass_no_check():
    model = PixelCNN(SHAPE, 4, 1)
    model.set_weights([w * np.nan for w in model.get_weights()])
    assert np.isinf(sampler_difference(model, random_images(model))).all()


@pytest.mark.parametrize("jit_compile", slow_but([False, True], False))
def test_generate_refuses_a_sampler_that_does_not_compute_the_model(jit_compile):
    model = wired(WrongStep(name="forgetful"))
    own = model.get_weights()
    for weights in (own, [w * 0 for w in own]):  # Those of zero hide no fault.
        model.set_weights(weights)
        with pytest.raises(ValueError, match="WrongStep 'forgetful'.*ancestral"):
            model.generate(2, seed=0, jit_compile=jit_compile)
        np.testing.assert_equal(model.get_weights(), weights)
    model.generate(2, seed=0, method="ancestral")


@pytest.mark.parametrize("reverse", [False, True])
def test_images_that_change_with_those_before_or_after_them(reverse):
    def sum_of_batch(x):
        axis = [0] if reverse else []
        return tf.reverse(tf.cumsum(tf.reverse(x, axis), axis=0), axis)

    class Mixing(layers.Layer):
        pointwise = True

        def call(self, inputs):
            return sum_of_batch(inputs)

    model = wired(Mixing(name="mixing"))
    for _ in range(2):
        with pytest.raises(ValueError, match="Mixing 'mixing'"):
            model.generate(2, seed=0)


@pytest.mark.slow
def test_the_first_rows_of_a_large_model_are_checked(monkeypatch):
    check = mock.Mock(wraps=sampler.check_difference)
    monkeypatch.setattr(sampler, "check_difference", check)
    monkeypatch.setattr(sampler, "_AFFORDABLE", 0)
    model = PixelCNN((12, 5, 1), 4, 1)
    drawn = model.generate(3, seed=0)
    np.testing.assert_array_equal(drawn, model.generate(3, seed=0, method="ancestral"))
    assert [call.args[2].shape[1] for call in check.call_args_list] == [8, 8]
    assert drawn[:, 8:].any()
    with pytest.raises(ValueError, match="WrongStep 'forgetful'"):
        wired(WrongStep(name="forgetful"), (12, 5, 1)).generate(2, seed=0)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_a_small_fault_is_found_in_half_precision(policy):
    """In a tenth of what rounding explains there."""
    slanted = Slanted(6, factor=1.005, dtype=policy, name="slanted")
    with pytest.raises(ValueError, match="Slanted 'slanted'"):
        wired(slanted, dtype=policy).generate(2, seed=0)
