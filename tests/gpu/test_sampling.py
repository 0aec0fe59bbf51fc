"""Samplers on a GPU draw the images of the CPU, with and without XLA."""

import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.sampling import METHODS
from tests.conformance.registry import MODELS
from tests.gpu.placement import CPU, assert_close, labels_of, on, random_twins
from tests.sampling.drawn import TIE, assert_ancestral
from tests.sampling.forced import assert_sampled_as_computed

AUTOREGRESSIVE = [name for name, case in MODELS.items() if not case.random]
# An `OrientedModel` returns nats, and its network is one of the others.
WITH_PARAMS = [name for name in AUTOREGRESSIVE if "OrientedModel" not in name]
LATENT = [name for name, case in MODELS.items() if case.random]


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", WITH_PARAMS)
def test_samplers_agree(name, method, jit_compile, device):
    case = MODELS[name]
    labels = labels_of(case, 8)
    options = {"method": method, "jit_compile": jit_compile, "conditions": labels}
    model, twin = random_twins(case)
    drawn = model.generate(8, seed=0, **options)
    assert_ancestral(model, drawn, labels, slack=TIE)
    with on(CPU):
        assert_ancestral(twin, drawn, labels, slack=TIE)


@pytest.mark.parametrize("name", AUTOREGRESSIVE)
def test_completions_are_those_of_the_cpu(name, device):
    case = MODELS[name]
    images = case.example(5)
    images = images["images"] if isinstance(images, dict) else images
    known = np.zeros(case.shape[:2])
    known[1:3] = 1  # Pixels before and after are drawn.
    options = {"seed": 2, "num_candidates": 3, "conditions": labels_of(case, 5)}
    model, twin = random_twins(case)
    completed = model.complete(images, known, **options)
    with on(CPU):
        expected = twin.complete(images, known, **options)
    np.testing.assert_array_equal(completed, expected)
    assert (completed != images).any()


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", LATENT)
def test_latent_models_draw_the_same_means(name, jit_compile, device):
    model, twin = random_twins(MODELS[name])
    drawn = model.generate(5, seed=3, jit_compile=jit_compile)
    with on(CPU):
        expected = twin.generate(5, seed=3)
    assert_close(drawn, expected)
    assert np.ptp(drawn) > 0.01


@pytest.mark.parametrize("name", WITH_PARAMS)
def test_rounding_to_tensor_float_32_is_explained(name, device):
    """The default of recent GPUs, which the check of the sampler must not refuse."""
    tf.config.experimental.enable_tensor_float_32_execution(True)
    case = MODELS[name]
    model, _ = random_twins(case)
    assert_sampled_as_computed(model, 4, labels_of(case, 4))
    drawn = model.generate(4, seed=0, conditions=labels_of(case, 4))
    assert drawn.shape == (4, *case.shape)
