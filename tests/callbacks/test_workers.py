"""Two workers train as one, and go on after one of them is killed."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys

import numpy as np
import pytest

from tests.subprocesses import ROOT

SCRIPT = pathlib.Path(__file__).with_name("worker.py")
MODELS = ("PixelCNN", "VAE")


def run_workers(count, *arguments, kill_after=(0, 0), models=("VAE",)):
    """Run the script in `count` processes; return their exit codes."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    processes = []
    for index in range(count):
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        if count > 1:
            task = {"type": "worker", "index": index}
            config = {"cluster": {"worker": addresses}, "task": task}
            environment["TF_CONFIG"] = json.dumps(config)
        directory, result = arguments
        command = [sys.executable, SCRIPT, directory, f"{result}{index}"]
        command += [str(kill_after[index]), *models]
        processes.append(
            subprocess.Popen(
                command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
            )
        )
    errors = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    if not any(kill_after):
        assert codes == [0] * count, errors
    return codes


def results(result, models=("VAE",)):
    """Return what a worker has written: a dict, and its weights by model."""
    found = json.loads(pathlib.Path(f"{result}.json").read_text())
    return found, {
        name: list(np.load(f"{result}_{name}.npz").values()) for name in models
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return the results of two workers that were not stopped, and of one alone."""
    folder = tmp_path_factory.mktemp("whole")
    run_workers(2, folder / "two", folder / "worker", models=MODELS)
    run_workers(1, folder / "one", folder / "alone", models=MODELS)
    names = ("worker0", "worker1", "alone0")
    return [results(folder / name, MODELS) for name in names]


@pytest.mark.slow
def test_two_workers_train_as_one(whole):
    (first, weights), (second, others), (alone, expected) = whole
    assert first == second
    for name in MODELS:
        for a, b, c in zip(weights[name], others[name], expected[name], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, atol=1e-5)
        for key, values in alone[name].items():
            np.testing.assert_allclose(first[name][key], values, rtol=1e-4)
        one_image = f"{name} of one image"
        np.testing.assert_allclose(first[one_image], alone[one_image], rtol=1e-4)


@pytest.mark.slow
def test_a_killed_worker_and_all_are_started_again(whole, tmp_path):
    codes = run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(0, 4))
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    run_workers(2, tmp_path / "runs", tmp_path / "worker")
    _, weights = results(tmp_path / "worker0")
    for a, b in zip(weights["VAE"], whole[0][1]["VAE"], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_workers_come_and_go(whole, tmp_path):
    """One worker, then two, then one, at the same global batch."""
    run_workers(1, tmp_path / "runs", tmp_path / "no", kill_after=(2, 0))
    run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(2, 2))
    run_workers(1, tmp_path / "runs", tmp_path / "alone")
    found, _ = results(tmp_path / "alone0")
    for key, values in whole[2][0]["VAE"].items():
        np.testing.assert_allclose(found["VAE"][key], values, rtol=1e-4)
