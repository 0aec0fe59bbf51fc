"""Random graphs give the images and numbers of their forward pass, or are refused."""

import keras
import pytest

from keras_genimg import layers
from tests.fuzz.graphs import STEPS, RandomGraph
from tests.fuzz.trial import Trial, try_graphs
from tests.seldom import weekly_but


# Further seeds are for `python -m tests.fuzz`.
@pytest.mark.slow
@pytest.mark.parametrize("first", weekly_but(range(0, 320, 10), 0, 10, 20, 30))
def test_random_graphs_are_right_or_refused(first):
    outcomes = try_graphs(range(first, first + 10))
    assert outcomes["wrong"] + outcomes["not built"] == 0, "see the output above"
    assert outcomes["right"] >= 3


@pytest.mark.slow
def test_every_public_layer_is_in_a_graph():
    seen = set()
    for seed in range(len(STEPS)):
        for layer in RandomGraph(seed).model._flatten_layers():
            seen.update(kind.__name__ for kind in type(layer).__mro__)
        keras.mixed_precision.set_global_policy("float32")
    assert set(layers.__all__) <= seen


# What the fuzzer must notice.


@pytest.fixture
def trial():
    """Return the first trial of a graph that is right and may not be refused."""
    trials = map(Trial, range(len(STEPS)))
    return next(t for t in trials if not t.graph.refusable and not t.graph.half)


def with_one_wrong_subpixel(images):
    images[2, -1, -1, 0] = (images[2, -1, -1, 0] + 1) % 2
    return images


@pytest.mark.parametrize(
    "name, spoil, text",
    [
        ("generate", with_one_wrong_subpixel, "1 of"),
        ("log_prob", lambda nats: nats - 0.1, "off by 0.1 nats"),
    ],
)
def test_a_wrong_result_is_noticed(name, spoil, text, trial, monkeypatch):
    kind, check = type(trial.model), getattr(trial, f"check_{name}")
    call = getattr(kind, name)
    trial.look_again()
    check()
    assert trial.faults == []
    monkeypatch.setattr(kind, name, lambda *args, **kw: spoil(call(*args, **kw)))
    check()
    assert text in trial.faults[0]


@pytest.mark.parametrize(
    "name, reason", [("bad_latents", "random"), ("bad_leak", "leaks")]
)
def test_a_graph_that_must_be_refused_is_noticed(name, reason):
    trial = Trial(STEPS.index(name))
    trial.graph.randomize_weights()
    trial.look_again()
    assert reason in trial.broken
    trial.attempt("generate", lambda: "images")
    assert "is not refused" in trial.faults[0]


def test_a_refusal_without_need_and_a_crash_are_noticed(trial):
    trial.look_again()
    trial.attempt("generate", lambda: trial.model.generate(0))
    trial.attempt("generate", lambda: 1 / 0)
    assert "without need" in trial.faults[0]
    assert "crashes" in trial.faults[1] and "ZeroDivisionError" in trial.faults[1]
