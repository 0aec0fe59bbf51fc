"""Two workers train as one, and go on after one of them is killed."""

import functools
import itertools
import pathlib
import pickle
import random
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_genimg.models  # noqa: F401  Registers classes for `load_model`.
from tests.callbacks import worker
from tests.seldom import weekly_but
from tests.subprocesses import start_forked, worker_environments

pytestmark = pytest.mark.slow

MODELS = ("PixelCNN", "VAE")


def run_workers(count, directory, result, kill_after=(0, 0), **options):
    """Run `worker.main` in `count` processes; return exit codes and what they print.

    The results are written to `result` with the number of the worker.
    """
    paths = [f"{result}{index}" for index in range(count)]
    environments = worker_environments(count) if count > 1 else [{}]
    main = functools.partial(worker.main, **options)
    processes = [
        start_forked(main, directory, path, kill, output=f"{path}.txt", **environment)
        for path, kill, environment in zip(
            paths, kill_after, environments, strict=False
        )
    ]
    for process in processes:
        process.join(300)
        process.kill()  # If it still runs.
        process.join()
    codes = [process.exitcode for process in processes]
    printed = [pathlib.Path(f"{path}.txt").read_text() for path in paths]
    if not any(kill_after):
        assert codes == [0] * count, printed
    return codes, printed


def results(path):
    """Return what a worker has written."""
    return pickle.loads(path.read_bytes())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder):
    """Return the results of two workers that were not stopped, and of one alone."""
    run_workers(2, folder / "two", folder / "worker", models=MODELS, checks=True)
    run_workers(1, folder / "one", folder / "alone", models=MODELS)
    return [results(folder / name) for name in ("worker0", "worker1", "alone0")]


def assert_close(found, expected):
    for key, values in expected.items():
        for a, b in zip(found[key], values, strict=True):
            rtol = 0 if key == "weights" else 1e-4
            np.testing.assert_allclose(a, b, rtol, atol=1e-5, err_msg=key)


def test_two_workers_train_as_one(whole):
    first, second, alone = whole
    for name in MODELS:
        assert_close(first[name], alone[name])
    for key in first.keys() - {"returned", "read"}:
        np.testing.assert_equal(first[key], second[key], key)
    for name in MODELS:
        drew = first[f"{name} drew"]
        assert drew["images"].shape == (3, 8, 8, 1) and np.std(drew["log_prob"]) > 0
    (before, *_), _, (after, *_) = first["trained"]["on_batch"]
    assert after < before


def test_only_the_first_worker_writes(whole, folder):
    """Each worker has a folder of its own; that of the second one is not even made."""
    first, second, _ = whole
    returned = {
        "save": None,
        "save_weights": None,
        "export": None,
        "publish chosen": "served/chosen/7",
        "publish next": "served/next/1",
    }
    assert first["returned"] == returned
    # Only the first one knows the number that it chose.
    assert second["returned"] == {**returned, "publish next": "served/next"}
    assert not (folder / "worker1_files").exists()
    written = folder / "worker0_files"
    names = ["alone.keras", "exported", "logs", "model.keras", "model.weights.h5"]
    found = sorted(path.name for path in written.iterdir())
    assert found == [*names, "reconstructions", "samples", "served"]
    for name in ("samples", "reconstructions"):
        pictures = [path.name for path in sorted((written / name).iterdir())]
        assert pictures == ["epoch_0001.png", "epoch_0002.png"]
    (log,) = (written / "logs").iterdir()
    assert log.read_bytes().count(b"reconstructions") == 2


def test_what_the_first_worker_wrote_loads(whole, folder):
    weights, drew = whole[0]["VAE"]["weights"], whole[0]["VAE drew"]["images"]
    written = folder / "worker0_files"
    for name in ("model.keras", "alone.keras"):
        model = keras.models.load_model(written / name)
        np.testing.assert_equal(model.get_weights(), weights)
    np.testing.assert_array_equal(model.generate(3, seed=5, verbose=0), drew)
    model.set_weights([0 * value for value in weights])
    model.load_weights(written / "model.weights.h5")
    np.testing.assert_equal(model.get_weights(), weights)
    expected = model.likelihood.to_display(np.float32(drew))
    for name in ("exported", "served/chosen/7", "served/next/1"):
        loaded = tf.saved_model.load(str(written / name))
        seeds = tf.constant([5, 6, 7], tf.int64)
        images = loaded.signatures["sample"](seed=seeds)["images"]
        np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("kind", ["arrays", "a split", "a PyDataset", "in order"])
def test_workers_read_each_image_once_an_epoch(kind, whole):
    first, second = (found["read"][kind] for found in whole[:2])
    numbers = list(range(15 if kind == "a split" else 20))
    epochs = []
    for here, there in zip(first, second, strict=True):
        assert sorted(here + there) == numbers
        assert len(here) - len(there) in (0, 1)
        epochs.append(here + there)
    assert (epochs[0] == epochs[1]) == (kind == "in order")
    assert ("val_loss" in whole[0]["trained"][kind]) == (kind == "a split")


def test_workers_are_killed_come_and_go(whole, tmp_path):
    """Two, of which one is killed; then two again, or one alone and two."""
    codes, _ = run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(0, 4))
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    shutil.copytree(tmp_path / "runs", tmp_path / "others")
    run_workers(2, tmp_path / "runs", tmp_path / "worker")
    found = results(tmp_path / "worker0")["VAE"]
    np.testing.assert_equal(found["weights"], whole[0]["VAE"]["weights"])
    # At the same global batch.
    run_workers(1, tmp_path / "others", tmp_path / "no", kill_after=(1,))
    run_workers(2, tmp_path / "others", tmp_path / "other")
    assert_close(results(tmp_path / "other0")["VAE"], whole[2]["VAE"])


RUNS = list(itertools.product(worker.FAMILIES, [(1, 3), (2, 2)]))
OFTEN = [("PixelRNN_diagonal", (1, 3)), ("DRAW", (1, 3))]


@pytest.mark.parametrize("each", weekly_but(RUNS, *OFTEN), ids=str)
def test_killed_at_random_steps(each, tmp_path):
    """Every family ends with the same bits as a run that was left alone."""
    family, (count, kills) = each
    options = {"models": [family], "epochs": 4}
    rng = random.Random()  # Not seeded: other steps each time, which a failure shows.
    # Each start gets further by at most these steps, of twelve.
    steps = [rng.randint(1, 10 // kills + 1) for _ in range(kills)]
    for step in steps:
        order = [tmp_path / "killed", tmp_path / "no", [*[0] * (count - 1), step]]
        codes, printed = run_workers(count, *order, **options)
        # A worker does not go on without the other.
        assert codes[-1] == -signal.SIGKILL and all(codes), (steps, printed)
    ended = []
    for name in ("killed", "whole"):
        run_workers(count, tmp_path / name, tmp_path / f"{name}_end", **options)
        ended.append(results(tmp_path / f"{name}_end0"))
    np.testing.assert_equal(*ended, f"killed after {steps} steps")
