"""Both commands as they are run, on processes that are killed."""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

from genimg_export.bulk.engines import local
from genimg_export.bulk.shards import BulkError
from tests.benchmarks.bulk import worker_processes
from tests.export.blocked import block
from tests.export.bulk.files import LABELS, BrokenJob, content, seeds_and_pixels

pytestmark = pytest.mark.slow


def start(name, folder, *arguments):
    """Start a command where the library is not installed."""
    folder = folder / "blocked"
    environment = {**os.environ, "PYTHONPATH": block(folder)}
    # A user does not set this variable, and should not see TensorFlow's notices.
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    command = [sys.executable, "-m", f"genimg_export.bulk.{name}", *map(str, arguments)]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=folder, env=environment, **options)


def end(process, code=0):
    """Wait for the end of a command; return what it prints, and errors."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == code, errors
    return output, errors


def sample(folder, job, *more):
    """Start to draw the images of a job."""
    options = ("--model", job.model.directory, "--output", job.prefix)
    options += ("--format", job.format, "--first-seed", job.first_seed)
    options += ("--num-images", job.num_images, "--num-shards", job.num_shards)
    options += ("--batch-size", job.batch_size)
    return start("sample", folder, *options, *more)


def test_killed_processes_are_started_again(job, expected, tmp_path):
    drawn = job(num_images=600, num_shards=12)
    command = sample(tmp_path, drawn, "--workers", 2)
    killed = 0
    while command.poll() is None:
        workers = worker_processes("local", command.pid)
        if killed < 2 and workers:
            workers[killed % len(workers)].kill()
            killed += 1
        time.sleep(0.5)
    assert end(command)[0] == "600 of 600 images written.\n"
    assert killed == 2
    seeds, images = seeds_and_pixels(drawn)
    np.testing.assert_array_equal(seeds, np.arange(5, 605))
    np.testing.assert_array_equal(images, expected("draw", 600))
    assert not list((tmp_path / "drawn").glob(".digits*"))


def test_array_tasks_going_on_and_scores(job, expected, log_prob, tmp_path):
    drawn, file = job("pixels", format="tfrecord", labels=LABELS), tmp_path / "labels"
    np.savetxt(file, LABELS, "%d")
    task = sample(tmp_path, drawn, "--labels", file, "--shard-index", 1)
    assert end(task) == ("4 of 11 images written.\n", "")
    before = content(tmp_path / "drawn")
    assert sorted(before) == [
        ".shards/digits-00001-of-00003.tfrecord.json",
        "digits-00001-of-00003.tfrecord",
        "digits-run.json",
    ]
    written = os.stat(drawn.path(1)).st_mtime_ns
    refused = sample(tmp_path, drawn, "--label", 2)
    rest = sample(tmp_path, drawn, "--labels", file)
    _, errors = end(refused, code=1)
    assert "sample: another run was begun under this --output" in errors
    assert "labels is 2 and was " in errors
    assert end(rest)[0] == "11 of 11 images written.\n"
    assert os.stat(drawn.path(1)).st_mtime_ns == written

    options = ["--model", drawn.model.directory, "--data", drawn.prefix]
    options += ["--output", tmp_path / "scored" / "a", "--format", "csv"]
    score = start("score", tmp_path, *options, "--batch-size", 2)
    assert end(score)[0].startswith("3 of 3 shards written.\n11 images: ")
    summary = json.loads((tmp_path / "scored" / "a-summary.json").read_text())
    nats = -log_prob(expected("pixels", 11, LABELS), LABELS)
    np.testing.assert_allclose(summary["nats"], nats.mean(), rtol=1e-6)


@pytest.mark.parametrize(
    "message, text",
    [
        ("no paper", "shard 4: ValueError: no paper"),
        (None, "shard 4 ended 3 processes, exit code -9"),
    ],
)
def test_faults_of_processes_are_told(message, text):
    with pytest.raises(BulkError, match=text):
        local.run(BrokenJob(message), [4], argparse.Namespace(workers=1))


@pytest.mark.parametrize("engine", ["ray", "beam"])
def test_other_engines_draw_the_same(job, engine, expected, tmp_path):
    pytest.importorskip({"ray": "ray", "beam": "apache_beam"}[engine])
    drawn = job()
    command = sample(tmp_path, drawn, "--engine", engine)
    assert end(command)[0] == "11 of 11 images written.\n"
    np.testing.assert_array_equal(seeds_and_pixels(drawn)[1], expected("draw", 11))


@pytest.mark.parametrize(
    "flag, text",
    [
        ("--runner=DaskRunner", "DaskRunner leaves out shards"),
        ("--runer=FlinkRunner", "Beam does not know --runer"),
    ],
)
def test_flags_that_beam_cannot_have(job, flag, text, tmp_path):
    pytest.importorskip("apache_beam")
    command = sample(tmp_path, job(), "--engine", "beam", "--", flag)
    assert text in end(command, code=1)[1]
