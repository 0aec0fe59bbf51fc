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


def run_workers(count, *arguments, kill_after=(0, 0), models=("VAE",), check=True):
    """Run the script in `count` processes; return exit codes and what they print.

    Args:
        count: Number of workers.
        *arguments: Directory of the states, or one for each worker; path of the results
            without the number of the worker.
        kill_after: Number of batches after which each worker is killed; 0 for never.
        models: Names of models to train.
        check: Whether all workers must succeed, if none is killed.
    """
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
        directories, result = arguments
        if isinstance(directories, pathlib.Path):
            directories = [directories] * count
        command = [sys.executable, SCRIPT, directories[index], f"{result}{index}"]
        command += [str(kill_after[index]), *models]
        processes.append(
            subprocess.Popen(
                command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True
            )
        )
    errors = [process.communicate(timeout=300)[1] for process in processes]
    codes = [process.returncode for process in processes]
    if not any(kill_after) and check:
        assert codes == [0] * count, errors
    return codes, errors


def results(result, models=("VAE",)):
    """Return what a worker has written: a dict, and its weights by model."""
    found = json.loads(pathlib.Path(f"{result}.json").read_text())
    return found, {
        name: list(np.load(f"{result}_{name}.npz").values()) for name in models
    }


@pytest.fixture(scope="module")
def whole_directory(tmp_path_factory):
    return tmp_path_factory.mktemp("whole") / "two"


@pytest.fixture(scope="module")
def whole(whole_directory):
    """Return the results of two workers that were not stopped, and of one alone."""
    folder = whole_directory.parent
    run_workers(2, whole_directory, folder / "worker", models=MODELS)
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
    codes, _ = run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(0, 4))
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    run_workers(2, tmp_path / "runs", tmp_path / "worker")
    _, weights = results(tmp_path / "worker0")
    for a, b in zip(weights["VAE"], whole[0][1]["VAE"], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.slow
def test_workers_with_different_states_are_refused(whole, whole_directory, tmp_path):
    directories = [whole_directory, tmp_path / "empty"]
    codes, errors = run_workers(2, directories, tmp_path / "no", check=False)
    assert codes == [1, 1]
    for error in errors:
        assert "Workers found different states" in error


@pytest.mark.slow
def test_workers_come_and_go(whole, tmp_path):
    """One worker, then two, then one, at the same global batch."""
    run_workers(1, tmp_path / "runs", tmp_path / "no", kill_after=(2, 0))
    run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(2, 2))
    run_workers(1, tmp_path / "runs", tmp_path / "alone")
    found, _ = results(tmp_path / "alone0")
    for key, values in whole[2][0]["VAE"].items():
        np.testing.assert_allclose(found["VAE"][key], values, rtol=1e-4)
