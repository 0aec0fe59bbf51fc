import argparse
import contextlib
import json
import sys

import pytest

from tests.export.nginx import running_nginx
from tests.export.running_server import requests, running
from tests.subprocesses import ROOT

pytestmark = pytest.mark.slow

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from tests.export import hostile_trial  # noqa: E402


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Directory of models, address of a server of them, and the honest requests."""
    base = tmp_path_factory.mktemp("trial")
    directory = tmp_path_factory.mktemp("server")
    options = ("--max-concurrent", 32, "--max-body-bytes", 2**23)
    with pytest.MonkeyPatch.context() as patch:
        # Its signatures are called at once by tests/serving/test_batching.py.
        patch.delitem(hostile_trial.MODELS, "scales")
        hostile_trial.write_models(base)
        honest = hostile_trial.honest_requests(base)
        served = ("--base-dir", base, *options)
        with running(directory, *served, warm_up=True) as server:
            yield base, server.address, honest


@pytest.mark.parametrize("proxy", [False, True])
def test_hostile_clients_have_no_victims(served, proxy, tmp_path):
    base, address, honest = served
    nginx = contextlib.nullcontext(address)
    if proxy:
        nginx = running_nginx(tmp_path, address, base)
    signatures = {json.loads(body)["signature_name"] for _, body, _ in honest}
    of_all = "complete decode sample sample_canvases sample_png sample_with_temperature"
    assert signatures == set(of_all.split())
    bad = hostile_trial.bad_requests(proxy, honest)
    assert len(bad) > 50
    with nginx as address:
        trial = hostile_trial.Trial(address, honest, bad)
        # Once, unless the machine is busy.
        while len(trial.seconds) <= len(honest) or trial.hostile.unsent:
            trial.run(10, len(bad))
            assert not trial.failed
        assert hostile_trial.answers(address)
    assert not trial.hostile.accepted()
    # TensorFlow Serving ignores these, too.
    ignored = ("one input too many", "two objects", "text after the object")
    answers = {hostile_trial.IGNORED}
    assert all(set(trial.hostile.statuses[form]) == answers for form in ignored)


def test_another_answer_to_a_request_with_an_ignored_part_is_a_fault(served):
    _, address, honest = served
    body = json.dumps({"signature_name": "sample", "inputs": {"seed": [1]}}).encode()
    seeds = {"right": [1], "wrong": [2], "refused": [-1]}
    bad = {}
    for form, seed in seeds.items():
        expected = requests.post(f"{address}/v1/models/row:predict", body, timeout=60)
        sent = body.replace(b"[1]", json.dumps(seed).encode())
        bad[form] = "row:predict", sent, expected.json()["outputs"]
    trial = hostile_trial.Trial(address, honest, bad)
    while trial.hostile.unsent:
        trial.run(1, len(bad))
    assert list(trial.hostile.accepted()) == ["wrong"]


def test_the_trial_of_the_laptops_server(served, run_command):
    base, *_ = served
    printed, _ = run_command(hostile_trial, "--laptop", "--base", base, "--minutes", 1)
    assert "The server answers" in printed


def test_the_trial_starts_the_real_server_by_flags_that_it_takes(served, tmp_path):
    """A stand-in has its flags; its gRPC would be open to other machines by a port."""
    base, *_ = served
    file = tmp_path / "tensorflow_model_server"
    stand_in = ROOT / "tests" / "export" / "images" / "model_server.py"
    file.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
    file.chmod(0o755)
    given = argparse.Namespace(url=None, laptop=False, server=file)
    url, server = hostile_trial.server_of(given, base, tmp_path / "log.txt")
    with server:
        assert hostile_trial.answers(url)
        assert (tmp_path / "grpc").is_socket()
