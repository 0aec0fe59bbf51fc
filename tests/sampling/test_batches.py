"""On a CPU, batches of images are drawn at the same time."""

import threading
import time

import keras
import numpy as np
import pytest

from keras_genimg.generation import samplers
from keras_genimg.models import MultiScalePixelRNN, PixelCNN
from tests.sampling.watched import watch
from tests.seldom import slow_but


@pytest.fixture(scope="module")
def model():
    return PixelCNN((5, 5, 1), 4, 1, num_classes=3)


OPTIONS = {"seed": 0, "conditions": {"label": [0, 1, 2, 0, 1, 2, 0]}}


def meet(monkeypatch, count):
    """Let each batch wait until `count` of them are drawn at the same time."""
    together = threading.Barrier(count, timeout=60)
    watch(monkeypatch, lambda seeds: together.wait(), cores=count)


@pytest.mark.parametrize("jit_compile", slow_but([False, True], False))
def test_batches_at_the_same_time(model, monkeypatch, jit_compile, capsys):
    options = {**OPTIONS, "jit_compile": jit_compile}
    expected = model.generate(7, **options)
    meet(monkeypatch, 4)
    drawn = model.generate(7, batch_size=2, verbose=1, **options)
    np.testing.assert_array_equal(drawn, expected)
    assert "7/7" in capsys.readouterr().out


def test_completions_at_the_same_time(model, monkeypatch):
    known = np.zeros((5, 5))
    known[:2] = 1
    images = np.random.default_rng(0).integers(2, size=(7, 5, 5, 1))
    options = {**OPTIONS, "num_candidates": 2, "return_effective_sample_size": True}
    expected = model.complete(images, known, **options)
    meet(monkeypatch, 2)
    for one, other in zip(
        model.complete(images, known, batch_size=4, **options), expected, strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5)


@pytest.mark.slow
def test_enlargements_at_the_same_time(monkeypatch):
    model = MultiScalePixelRNN((4, 4, 1), (2, 4), 2, 1)
    small = np.random.default_rng(0).integers(2, size=(3, 2, 2, 1))
    expected = model.enlarge(small, seed=0)
    together = threading.Barrier(3, timeout=60)
    watch(monkeypatch, lambda seeds: together.wait(), cores=3)
    drawn = model.enlarge(small, seed=0, batch_size=1)
    np.testing.assert_array_equal(drawn, expected)


def test_threads_use_the_weights_of_a_stateless_scope(model, monkeypatch):
    """Keras keeps the scope for the calling thread alone."""
    ones = [(weight, np.ones(weight.shape, "float32")) for weight in model.weights]
    monkeypatch.setattr(samplers, "num_cores", lambda: 2)
    own = model.generate(7, **OPTIONS)
    with keras.StatelessScope(state_mapping=ones):
        expected = model.generate(7, **OPTIONS)
        drawn = model.generate(7, batch_size=2, **OPTIONS)
    assert (expected != own).any()
    np.testing.assert_array_equal(drawn, expected)


def test_forward_passes_one_after_the_other(model, monkeypatch):
    """Each occupies all cores, and the memory of its feature maps."""
    threads = set()
    watch(monkeypatch, lambda seeds: threads.add(threading.get_ident()), cores=4)
    model.generate(7, batch_size=2, method="fixed_point", verbose=0, **OPTIONS)
    assert threads == {threading.get_ident()}


def test_an_error_or_ctrl_c_ends_the_call(model, monkeypatch):
    began = []

    def fail_soon(seeds):
        began.append(seeds)
        if 1 in seeds:
            raise KeyboardInterrupt
        time.sleep(0.05)

    watch(monkeypatch, fail_soon, cores=2)
    with pytest.raises(KeyboardInterrupt):
        model.generate(200, seed=0, batch_size=1, conditions={"label": [0] * 200})
    assert len(began) < 20


def test_bad_verbose_before_anything_is_drawn(model, monkeypatch):
    began = []
    watch(monkeypatch, began.append, cores=2)
    with pytest.raises(ValueError, match="`verbose`.*Received: verbose=3"):
        model.generate(4, batch_size=1, conditions={"label": [0] * 4}, verbose=3)
    assert not began


def test_the_model_is_traced_and_checked_once(monkeypatch):
    model = PixelCNN((5, 5, 1), 4, 1)
    meet(monkeypatch, 3)
    model.generate(3, batch_size=1)
    (sampler,) = model._samplers.by_key.entries().values()
    assert sampler._function.experimental_get_tracing_count() == 1
