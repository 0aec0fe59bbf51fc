import functools
import itertools
import multiprocessing
import os
import shutil
import signal
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from genimg_export import versions
from genimg_export.metadata import METADATA_FILE
from genimg_export.saved_graph import SavedGraph
from genimg_export.warmup import WARMUP_FILE
from keras_genimg.models import VAE
from keras_genimg.serving import VerificationError, publish, read_metadata
from tests.serving import planted
from tests.subprocesses import run_forked

pytestmark = pytest.mark.slow

FORK = multiprocessing.get_context("fork")
FILE_CALLS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fcntl.flock")


@keras.saving.register_keras_serializable("test_publish")
class SmallVAE(VAE):
    """A VAE with the endpoints that read all weights."""

    def endpoints(self, *arguments, **options):
        endpoints = super().endpoints(*arguments, **options)
        return {name: endpoints[name] for name in ("sample", "elbo")}


@pytest.fixture(scope="module")
def model():
    return SmallVAE((4, 4, 1), 2, 4)


@pytest.fixture(scope="module")
def exported(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("exported") / "model"
    model.export(path, max_examples=8, verbose=False)
    return path


def put(source, base, **options):
    """Publish without a verification, which takes seconds."""
    return publish(source, base, "digits", verify=False, verbose=False, **options)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def test_a_model_is_verified_and_published(model, tmp_path, capsys):
    options = {"max_examples": 4, "metadata": {"license": "none"}}
    path = publish(model, tmp_path / "new" / "base", "digits", **options)
    assert path == tmp_path / "new" / "base" / "digits" / "1"
    assert names(path.parent) == [".last_version", ".lock", "1"]
    assert SavedGraph(path).queues()
    metadata = read_metadata(path)
    assert (metadata["max_examples"], metadata["license"]) == (4, "none")
    printed = capsys.readouterr().out
    assert "pass  warm-up: 3 records run" in printed
    assert f"pass  content: SHA-256 {metadata['sha256']}, as exported\n" in printed
    assert printed.endswith(f"\nSHA-256 {metadata['sha256']}\nPublished {path}\n")
    loaded = tf.saved_model.load(str(path))
    drawn = loaded.signatures["sample"](seed=tf.constant([3, 4], tf.int64))["images"]
    expected = model.likelihood.to_display(model.generate(2, seed=3))
    np.testing.assert_array_equal(drawn, expected)


def test_a_keras_file_and_a_saved_model(model, exported, tmp_path):
    model.save(tmp_path / "model.keras")
    first = put(tmp_path / "model.keras", tmp_path, max_examples=8)
    second = put(str(exported), tmp_path)
    third = put(first, tmp_path)
    assert [p.name for p in (first, second, third)] == ["1", "2", "3"]
    metadata = [read_metadata(path) for path in (first, second, third, exported)]
    hashes = [each.pop("sha256") for each in metadata]
    assert metadata[0] == metadata[1] == metadata[2]
    # Copies keep the hash; another export has another.
    assert hashes[0] == hashes[2] != hashes[1] == hashes[3]
    assert (exported / "saved_model.pb").exists()


def test_a_read_only_saved_model(exported, tmp_path):
    source = shutil.copytree(exported, tmp_path / "source")
    source.chmod(0o555)
    assert put(source, tmp_path).stat().st_mode & 0o777 == 0o755


def test_numbers_are_never_used_again(exported, tmp_path):
    assert put(exported, tmp_path, version=7).name == "7"
    assert put(exported, tmp_path).name == "8"
    folder = tmp_path / "digits"
    shutil.rmtree(folder / "8")
    for used in (7, 8, 3):
        with pytest.raises(ValueError, match=rf"above 8.*Received: version={used}"):
            put(exported, tmp_path, version=used)
    assert put(exported, tmp_path).name == "9"
    # What others put there counts, as it does for a server.
    (folder / "011").mkdir()
    (folder / "12").touch()
    (folder / "13.tmp").mkdir()
    (folder / "²").mkdir()
    assert put(exported, tmp_path).name == "13"
    (folder / ".last_version").write_text("20")
    assert put(exported, tmp_path).name == "21"
    assert (folder / ".last_version").read_text() == "21\n"
    with pytest.raises(ValueError, match="above 21"):
        put(exported, tmp_path, version=2**63)


@pytest.mark.parametrize("content", [b"", b"\xff1"])
def test_a_damaged_record_is_not_guessed(exported, tmp_path, content):
    (tmp_path / "digits").mkdir()
    (tmp_path / "digits" / ".last_version").write_bytes(content)
    with pytest.raises(ValueError, match="must hold the number of the last version"):
        put(exported, tmp_path)
    assert names(tmp_path / "digits") == [".last_version", ".lock"]


def test_keeps_the_highest_versions(exported, tmp_path, capsys):
    folder = tmp_path / "digits"
    for _ in range(3):
        put(exported, tmp_path)
    os.symlink(folder / "3", folder / "4")
    (folder / "notes").mkdir()
    path = publish(exported, tmp_path, "digits", verify=False, keep=2)
    assert path.name == "5"
    # A server may be loading them.
    assert {"1", "2", "3"} <= set(names(folder))
    assert "Removed" not in capsys.readouterr().out
    for number, age in (("1", 660), ("2", 660), ("3", 540), ("5", 660)):
        os.utime(folder / number, 2 * (time.time() - age,))
    publish(exported, tmp_path, "digits", verify=False, keep=2)
    assert names(folder) == [".last_version", ".lock", "3", "4", "5", "6", "notes"]
    assert "Removed versions 1, 2" in capsys.readouterr().out
    put(exported, tmp_path, keep=3)
    assert {"5", "6"} <= set(names(folder))


def test_the_age_of_a_version_is_that_of_its_publication(exported, tmp_path):
    old = shutil.copytree(exported, tmp_path / "old")
    os.utime(old, (0, 0))
    for _ in range(3):
        put(old, tmp_path, keep=2)
    assert {"1", "2", "3"} <= set(names(tmp_path / "digits"))


def test_what_fails_is_not_published(exported, tmp_path):
    bad = shutil.copytree(exported, tmp_path / "bad")
    record = planted.record("sample", seed=np.array([-1]))
    before = planted.write_records(bad, [record]).read_bytes()
    with pytest.raises(VerificationError, match="0, for sample, gives INV") as raised:
        publish(bad, tmp_path, "digits", verbose=False, batch_sizes=())
    assert not raised.value.report.passed
    assert f"new version of {tmp_path / 'digits'} must not" in str(raised.value)
    assert names(tmp_path / "digits") == [".lock"]
    # Other records take their place, and the source stays as it was.
    assert put(bad, tmp_path).name == "1"
    assert (bad / WARMUP_FILE).read_bytes() == before
    assert (tmp_path / "digits" / "1" / WARMUP_FILE).read_bytes() != before


@pytest.mark.parametrize(
    "options, text",
    [
        ({"name": "../digits"}, "`name` of publish.*Received: name='../digits'"),
        ({"name": ""}, "`name` of publish"),
        ({"name": "a\n"}, "`name` of publish"),
        ({"name": 3}, "`name` of publish"),
        ({"base_dir": "gs://bucket/models"}, "must be a directory"),
        ({"version": 0}, "`version` of publish.*at least 1"),
        ({"version": "2"}, "`version` of publish"),
        ({"keep": 1}, "`keep` of publish.*at least 2"),
        ({"batch_sizes": (1, 0)}, "`batch_sizes` of publish"),
        ({"max_examples": 4}, "is a SavedModel.*Received: max_examples"),
        ({"model": "nowhere.keras"}, "path of a `.keras` file.*nowhere.keras"),
        ({"model": __file__}, "cannot be loaded"),
        ({"model": os.path.dirname(__file__)}, "Received: .*serving, a folder without"),
        ({"model": object()}, "of type object"),
    ],
)
def test_bad_arguments_touch_nothing(exported, tmp_path, options, text):
    arguments = {"model": exported, "base_dir": tmp_path, "name": "digits", **options}
    with pytest.raises(ValueError, match=f"(?s){text}"):
        publish(**arguments, verbose=False)
    assert not names(tmp_path)


def ends(*functions):
    """Run each function in a process; return their exit codes, or minus the signals."""
    versions.LOADING_SECONDS = 0  # No server loads the versions.
    processes = [FORK.Process(target=function) for function in functions]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return [process.exitcode for process in processes]


def check_versions(folder):
    """Check that versions are complete, and that their numbers are recorded."""
    found = [path for path in folder.glob("*") if path.name.isdigit()]
    files = ("saved_model.pb", "variables/variables.index", METADATA_FILE, WARMUP_FILE)
    for path, file in itertools.product(found, files):
        assert (path / file).stat().st_size, path / file
    record = folder / ".last_version"
    recorded = int(record.read_text()) if record.exists() else 0
    assert all(int(path.name) <= recorded for path in found), (found, recorded)


def put_at_the_same_time(source, base, count, keep=None):
    """Publish three versions in each of several processes."""

    def run():
        for _ in range(3):
            put(source, base, keep=keep)

    assert ends(*[run] * count) == [0] * count
    check_versions(base / "digits")


def test_publishers_at_the_same_time_lose_nothing(exported, tmp_path):
    base, output = tmp_path / "base", tmp_path / "printed"
    run_forked(put_at_the_same_time, exported, base, 4, output=output)
    numbers = {str(number) for number in range(1, 13)}
    assert set(names(base / "digits")) == {".last_version", ".lock", *numbers}
    base = tmp_path / "pruned"
    run_forked(put_at_the_same_time, exported, base, 3, 2, output=output)
    assert names(base / "digits") == [".last_version", ".lock", "8", "9"]


def put_until(moment, source, base):
    """Publish, and be killed before a call that touches a file below `base`."""
    calls = itertools.count(1)

    def hook(event, arguments):
        if event in FILE_CALLS and str(base) in str(arguments):
            if next(calls) == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    put(source, base, keep=2)


def kill_at_each_call(source, base):
    for moment in itertools.count(1):
        (code,) = ends(functools.partial(put_until, moment, source, base))
        check_versions(base / "digits")
        if code != -signal.SIGKILL:
            break
    assert code == 0 and moment > 20, (code, moment)


def test_killed_before_any_call_that_touches_a_file(exported, tmp_path):
    base = tmp_path / "base"
    run_forked(kill_at_each_call, exported, base, output=tmp_path / "printed")
    # The last one was not killed, and removed what the others had left.
    record, lock, *left = names(base / "digits")
    assert (record, lock) == (".last_version", ".lock")
    assert len(left) == 2 and int(left[-1]) >= 2


def test_a_publisher_at_work_is_left_alone(exported, tmp_path):
    put(exported, tmp_path)
    with versions.Versions(tmp_path / "digits").workspace() as workspace:
        put(exported, tmp_path)
        assert workspace.is_dir()
    assert not workspace.exists()
    (tmp_path / "digits" / ".unfinished-of-somebody-dead").mkdir()
    put(exported, tmp_path)
    assert names(tmp_path / "digits") == [".last_version", ".lock", "1", "2", "3"]
