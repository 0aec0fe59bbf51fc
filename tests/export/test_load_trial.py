import argparse
import json
import re

import numpy as np
import pytest

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from genimg_export.clients.image_client import Signature, Tensor, Unavailable
from genimg_export.metadata import METADATA_FILE, content_hash
from tests.export import load_trial

OLD, NEW, OTHER = ({"images": np.full((1, 2, 2, 1), v, "uint8")} for v in (3, 90, 200))
ASKED = [("sample", {"seed": np.array([1])}, {"old": OLD, "new": NEW})]
STEADY = [(minute, 1, 500.0) for minute in range(60)]


class Planted:
    """A model with planted answers: outputs, errors, or functions of outputs."""

    def __init__(self, answers):
        self._answers = list(answers)

    def signatures(self):
        inputs = {"seed": Tensor("int64", (-1,))}
        outputs = {"images": Tensor("uint8", (-1, 2, 2, 1))}
        return {"sample": Signature("sample", inputs, outputs)}

    def predict(self, signature, inputs):
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer() if callable(answer) else answer


def asked(*answers):
    """Let an honest client ask once, while `old` is served; return the `Honest`."""
    honest = load_trial.Honest()
    honest.allowed["digits"].append(frozenset(["old"]))
    honest.add("digits", Planted(answers), ASKED, retries=1, first_wait=0)
    honest.ask()
    return honest


def faults(honest, accepted=None, events=(), memory=STEADY):
    return load_trial.faults(honest, accepted or {}, events, memory)


def test_what_went_well_is_no_fault():
    assert not faults(asked(OLD), events=[("kill_server", 9.0, None)])
    honest = asked(Unavailable("killed"), OLD)
    assert honest.retried == 1
    assert not faults(honest)


@pytest.mark.parametrize(
    "answers, text",
    [
        ([OTHER], "wrong: sample of digits: the answer is of no version"),
        ([NEW], "wrong: sample of digits: the answer is of a version that is not"),
        ([Unavailable("killed")] * 2, r"lost: sample of digits: killed \(attempts: 2"),
        ([{"pixels": OLD}], "lost: sample of digits: .* has other outputs"),
    ],
)
def test_a_wrong_answer_and_a_lost_request_are_faults(answers, text):
    found = faults(asked(*answers))
    assert re.match(text, found[0]), found


def test_any_version_served_since_a_request_was_sent_may_answer():
    honest = load_trial.Honest()
    served = honest.allowed["digits"]
    served.append(frozenset(["old"]))

    def while_versions_change(answer):
        served.extend([frozenset(["old", "new"]), frozenset(["new"])])
        return answer

    answers = [lambda: while_versions_change(OLD), NEW, OLD]
    honest.add("digits", Planted(answers), ASKED)
    honest.ask()
    honest.ask()
    assert not faults(honest)
    honest.ask()  # It gets an answer of the version before.
    (found,) = faults(honest)
    assert "not served" in found


def test_other_faults():
    honest = asked(OLD)
    grown = [(minute, 1, 500.0 + 2 * minute) for minute in range(60)]
    assert faults(honest, memory=grown) == ["memory: 1.11 times as much after 59 min"]
    # The time before the last start and the first minutes after it do not count.
    risen = [(0, 1, 100.0), *((m, 2, 500.0 if m > 9 else 300) for m in range(1, 60))]
    assert not faults(honest, memory=risen)
    assert not faults(honest, memory=grown[:9])
    assert faults(honest, accepted={"null": {200: 1}}) == ["accepted: null: {200: 1}"]
    failed = [("fill_disk", 1.0, "it is half"), ("fill_disk", 1.0, None)]
    assert faults(honest, events=failed) == ["fill_disk: it is half"]
    assert faults(load_trial.Honest()) == ["no honest request was answered"]


def test_half_a_version_is_a_fault(tmp_path):
    trial = load_trial.Trial(argparse.Namespace(), tmp_path, {"vae": []})
    version = tmp_path / "models" / "vae" / "1"
    (version / "assets.extra").mkdir(parents=True)
    (version / "saved_model.pb").write_bytes(b"a graph")
    whole = content_hash(version, {})
    (version / METADATA_FILE).write_text(json.dumps({"sha256": whole}))
    (version / "saved_model.pb").write_bytes(b"a gr")

    def settle(trial):
        trial.settle("vae")

    trial.run(settle)
    ((_, _, error),) = trial.events
    assert error == f"AssertionError: {version} is not whole"


@pytest.mark.slow
def test_nothing_is_lost_on_the_laptops_server(run_command, monkeypatch):
    """Every event happens once."""
    for name in ("draw", "scales"):  # They take the server a minute to load.
        monkeypatch.delitem(load_trial.MODELS, name)
    printed, log = run_command(load_trial, "--laptop", "--minutes", 0.1)
    left_out = re.findall("Left out.*: (.*)", printed)
    happened = set(re.findall(r"^\| (\w+) \| 1 \| 0 \|", printed, re.M))
    names = {event.__name__ for event in load_trial.EVENTS}
    assert names == happened | set(", ".join(left_out).split(", ")) - {""}
    assert "Nothing was lost." in printed
