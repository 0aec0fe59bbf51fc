"""Two workers train as one, and go on after one of them is killed."""

import json
import pathlib
import shutil
import signal

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_genimg.models  # noqa: F401  Registers classes for `load_model`.
from tests.callbacks import worker
from tests.subprocesses import start_forked, worker_environments

pytestmark = pytest.mark.slow

MODELS = ("PixelCNN", "VAE")


def run_workers(count, directory, result, kill_after=(0, 0), models=("VAE",)):
    """Run `worker.main` in `count` processes; return exit codes and what they print.

    Args:
        count: Number of workers.
        directory: Directory of the states.
        result: Path of the results without the number of the worker.
        kill_after: Number of batches after which each worker is killed; 0 for never.
        models: Names of models to train.
    """
    outputs = [pathlib.Path(f"{result}{index}.txt") for index in range(count)]
    environments = worker_environments(count) if count > 1 else [{}]
    processes = []
    for index, environment in enumerate(environments):
        command = [directory, f"{result}{index}", kill_after[index], *models]
        processes.append(
            start_forked(worker.main, *command, output=outputs[index], **environment)
        )
    for process in processes:
        process.join(300)
        process.kill()  # If it still runs.
        process.join()
    codes = [process.exitcode for process in processes]
    printed = [output.read_text() for output in outputs]
    if not any(kill_after):
        assert codes == [0] * count, printed
    return codes, printed


def results(result, models=("VAE",)):
    """Return what a worker has written: a dict, and its weights by model."""
    found = json.loads(pathlib.Path(f"{result}.json").read_text())
    return found, {
        name: list(np.load(f"{result}_{name}.npz").values()) for name in models
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("whole")


@pytest.fixture(scope="module")
def whole(folder):
    """Return the results of two workers that were not stopped, and of one alone."""
    run_workers(2, folder / "two", folder / "worker", models=[*MODELS, "--checks"])
    run_workers(1, folder / "one", folder / "alone", models=MODELS)
    names = ("worker0", "worker1", "alone0")
    return [results(folder / name, MODELS) for name in names]


def test_two_workers_train_as_one(whole):
    (first, weights), (second, others), (alone, expected) = whole
    for name in MODELS:
        for a, b, c in zip(weights[name], others[name], expected[name], strict=True):
            np.testing.assert_array_equal(a, b)
            np.testing.assert_allclose(a, c, atol=1e-5)
        assert first[name] == second[name]
        for key, values in alone[name].items():
            np.testing.assert_allclose(first[name][key], values, rtol=1e-4)
        one_image = f"{name} of one image"
        assert first[one_image] == second[one_image]
        np.testing.assert_allclose(first[one_image], alone[one_image], rtol=1e-4)


def test_workers_draw_the_same(whole):
    (first, _), (second, _), _ = whole
    for name in MODELS:
        drew = first[f"{name} drew"]
        assert drew == second[f"{name} drew"]
        assert np.shape(drew["images"]) == (3, 8, 8, 1)
        assert np.std(drew["log_prob"]) > 0


def test_only_the_first_worker_writes(whole, folder):
    """Each worker has a folder of its own; that of the second one is not even made."""
    (first, _), (second, _), _ = whole
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
    names = ["PixelCNN", "VAE", "alone.keras", "exported", "logs", "model.keras"]
    found = sorted(path.name for path in written.iterdir())
    assert found == [*names, "model.weights.h5", "served"]
    for name in ("PixelCNN/samples", "VAE/samples", "VAE/reconstructions"):
        pictures = [path.name for path in sorted((written / name).iterdir())]
        assert pictures == ["epoch_0001.png", "epoch_0002.png"]
    (log,) = (written / "logs").iterdir()
    assert log.read_bytes().count(b"reconstructions") == 2


def test_what_the_first_worker_wrote_loads(whole, folder):
    (first, weights), _, _ = whole
    written = folder / "worker0_files"
    drew = first["VAE drew"]["images"]
    for name in ("model.keras", "alone.keras"):
        model = keras.models.load_model(written / name)
        np.testing.assert_equal(model.get_weights(), weights["VAE"])
    np.testing.assert_array_equal(model.generate(3, seed=5, verbose=0), drew)
    model.set_weights([0 * value for value in weights["VAE"]])
    model.load_weights(written / "model.weights.h5")
    np.testing.assert_equal(model.get_weights(), weights["VAE"])
    expected = model.likelihood.to_display(np.float32(drew))
    for name in ("exported", "served/chosen/7", "served/next/1"):
        loaded = tf.saved_model.load(str(written / name))
        seeds = tf.constant([5, 6, 7], tf.int64)
        images = loaded.signatures["sample"](seed=seeds)["images"]
        np.testing.assert_array_equal(images, expected)


@pytest.mark.parametrize("data", ["arrays", "a split", "a PyDataset", "in order"])
def test_workers_read_each_image_once_an_epoch(data, whole):
    first, second = (found["data"][data] for found, _ in whole[:2])
    numbers = list(range(15 if data == "a split" else 20))
    epochs = []
    for here, there in zip(first["read"], second["read"], strict=True):
        assert sorted(here + there) == numbers
        assert len(here) - len(there) in (0, 1)
        epochs.append(here + there)
    assert (epochs[0] == epochs[1]) == (data == "in order")
    assert first["history"] == second["history"]
    assert ("val_loss" in first["history"]) == (data == "a split")


def test_workers_train_on_booleans_and_on_batches(whole):
    (first, _), (second, _), _ = whole
    data = first["data"]
    for key in ("evaluate uint8", "evaluate bool", "weights", "on_batch"):
        assert data[key] == second["data"][key]
    assert data["evaluate uint8"] == data["evaluate bool"]
    assert data["weights"]["uint8"] == data["weights"]["bool"]
    before, _, after = data["on_batch"]
    assert after[0] < before[0]


def test_an_epoch_of_unknown_length_has_no_step_of_no_batch(whole):
    assert [found["num_steps"] for found, _ in whole[:2]] == [3, 3]


def test_what_workers_cannot_do_is_refused_on_all(whole):
    for found, _ in whole[:2]:
        refused = found["refused"]
        assert "which does not work with several" in refused["backup"]
        assert "`gradient_accumulation_steps` works with" in refused["accumulation"]
        assert "Workers must have the same global seed" in refused["seeds"]
        assert "Workers found different states" in refused["states"]
    # Only the second one has read the bad image.
    for index, text in enumerate(("another worker received", "expects pixels")):
        for error in whole[index][0]["refused"]["pixels"]:
            assert text in error


def test_workers_are_killed_come_and_go(whole, tmp_path):
    """Two, of which one is killed; then two again, or one alone and two."""
    codes, _ = run_workers(2, tmp_path / "runs", tmp_path / "no", kill_after=(0, 4))
    assert codes[1] == -signal.SIGKILL and codes[0] != 0
    shutil.copytree(tmp_path / "runs", tmp_path / "others")
    run_workers(2, tmp_path / "runs", tmp_path / "worker")
    _, weights = results(tmp_path / "worker0")
    np.testing.assert_equal(weights["VAE"], whole[0][1]["VAE"])
    # At the same global batch.
    run_workers(1, tmp_path / "others", tmp_path / "no", kill_after=(1,))
    run_workers(2, tmp_path / "others", tmp_path / "other")
    found, _ = results(tmp_path / "other0")
    for key, values in whole[2][0]["VAE"].items():
        np.testing.assert_allclose(found["VAE"][key], values, rtol=1e-4)
