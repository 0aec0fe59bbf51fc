"""Random graphs give the images and numbers of their forward pass, or are refused."""

import collections

import keras
import pytest

from keras_genimg import layers
from tests.fuzz.graphs import STEPS, RandomGraph
from tests.fuzz.trial import Fault, Trial, try_graph
from tests.seldom import weekly_but


# Further seeds are for `python -m tests.fuzz`.
@pytest.mark.slow
@pytest.mark.parametrize("first", weekly_but(range(0, 320, 10), 0, 10, 20, 30))
def test_random_graphs_are_right_or_refused(first):
    outcomes, refusals, faults = collections.Counter(), collections.Counter(), []
    for seed in range(first, first + 10):
        try:
            outcome, refused = try_graph(seed)
        except Fault as fault:
            faults.append(str(fault))
            continue
        outcomes[outcome] += 1
        refusals.update(refused)
        keras.backend.clear_session()
    print(outcomes, *refusals.most_common(), sep="\n")
    assert not faults, "\n".join(faults)
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


def test_a_wrong_subpixel_is_noticed(trial, monkeypatch):
    generate = type(trial.model).generate

    def wrong(self, *args, **kwargs):
        images = generate(self, *args, **kwargs)
        images[2, -1, -1, 0] = (images[2, -1, -1, 0] + 1) % 2
        return images

    trial.look_again()
    trial.check_generate("incremental")
    assert trial.faults == []
    monkeypatch.setattr(type(trial.model), "generate", wrong)
    trial.check_generate("incremental")
    assert len(trial.faults) == 1
    assert "1 of" in trial.faults[0]


def test_wrong_nats_are_noticed(trial, monkeypatch):
    log_prob = type(trial.model).log_prob
    trial.look_again()
    trial.check_log_prob()
    assert trial.faults == []
    monkeypatch.setattr(
        type(trial.model),
        "log_prob",
        lambda self, *args, **kwargs: log_prob(self, *args, **kwargs) - 0.1,
    )
    trial.check_log_prob()
    assert "off by 0.1 nats" in trial.faults[0]


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
    assert "crashes with ZeroDivisionError" in trial.faults[1]
