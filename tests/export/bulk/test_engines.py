"""Both commands as they are run, on processes that are killed."""

import argparse
import json
import os
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("tqdm", reason='needs the extra "bulk"')

from export.bulk.engines import local  # noqa: E402
from export.bulk.shards import BulkError  # noqa: E402
from tests.benchmarks.bulk import worker_processes  # noqa: E402
from tests.export.blocked import block  # noqa: E402
from tests.export.bulk.files import content, seeds_and_pixels  # noqa: E402
from tests.export.bulk.jobs import Job  # noqa: E402
from tests.subprocesses import ROOT  # noqa: E402

pytestmark = pytest.mark.slow


class Command:
    """A running command; `output` and `errors` are there after `wait`."""

    def __init__(self, folder, name, *arguments, **environment):
        block(folder)
        environment = {**os.environ, "PYTHONPATH": str(folder), **environment}
        # As a user has it, who is not to see TensorFlow's notices.
        environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
        self.process = subprocess.Popen(
            [sys.executable, ROOT / "export" / "bulk" / name, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def wait(self):
        self.output, self.errors = self.process.communicate(timeout=300)
        return self.process.returncode


@pytest.fixture
def sample(tmp_path):
    """Function that starts to draw the images of a job."""

    def start(job, *more, first_seed=5):
        given = {
            "--model": job.model.directory,
            "--output": job.prefix,
            "--format": job.format,
            "--first-seed": first_seed,
            "--num-images": job.num_images,
            "--num-shards": job.num_shards,
            "--batch-size": job.batch_size,
        }
        options = [text for option in given.items() for text in option]
        return Command(tmp_path / "blocked", "sample.py", *options, *more)

    return start


def test_killed_processes_are_started_again(sample, job, expected, tmp_path):
    drawn = job(num_images=600, num_shards=12)
    command = sample(drawn, "--workers", 2)
    killed = 0
    while command.process.poll() is None:
        workers = worker_processes("local", command.process.pid)
        if killed < 2 and workers:
            workers[killed % len(workers)].kill()
            killed += 1
        time.sleep(0.5)
    assert command.wait() == 0, command.errors
    assert killed == 2
    assert command.output == "600 of 600 images written.\n"
    seeds, images = seeds_and_pixels(drawn)
    np.testing.assert_array_equal(seeds, np.arange(5, 605))
    np.testing.assert_array_equal(images, expected("draw", 600, 5))
    assert not list((tmp_path / "drawn").glob(".digits*"))


def test_array_tasks_going_on_and_scores(sample, job, models, tmp_path):
    drawn = job("pixels", format="tfrecord", labels=2)
    label = "--label", 2
    task = sample(drawn, *label, "--shard-index", 1)
    assert task.wait() == 0, task.errors
    assert task.output == "4 of 11 images written.\n" and not task.errors
    before = content(tmp_path / "drawn")
    assert sorted(before) == [
        ".shards/digits-00001-of-00003.tfrecord.json",
        "digits-00001-of-00003.tfrecord",
        "digits-run.json",
    ]
    written = os.stat(drawn.path(1)).st_mtime_ns
    refused, rest = sample(drawn, *label, first_seed=6), sample(drawn, *label)
    assert refused.wait() == 1
    assert "sample: another run was begun under this --output" in refused.errors
    assert rest.wait() == 0, rest.errors
    assert rest.output == "11 of 11 images written.\n"
    assert os.stat(drawn.path(1)).st_mtime_ns == written

    options = ["--model", drawn.model.directory, "--data", drawn.prefix]
    options += ["--output", tmp_path / "scored" / "a", "--format", "csv"]
    score = Command(tmp_path / "blocked", "score.py", *options, "--batch-size", 2)
    assert score.wait() == 0, score.errors
    assert score.output.startswith("3 of 3 shards written.\n11 images: ")
    summary = json.loads((tmp_path / "scored" / "a-summary.json").read_text())
    model, labels = models["pixels"], np.full(11, 2)
    images = model.generate(11, seed=5, conditions=labels)
    nats = -model.log_prob({model.inputs[0].name: images, "label": labels})
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
        local.run(Job(message), [4], argparse.Namespace(workers=1))


@pytest.mark.parametrize("engine", ["ray", "beam"])
def test_other_engines_draw_the_same(sample, job, engine, expected):
    pytest.importorskip({"ray": "ray", "beam": "apache_beam"}[engine])
    drawn = job()
    command = sample(drawn, "--engine", engine)
    assert command.wait() == 0, command.errors
    assert command.output == "11 of 11 images written.\n"
    np.testing.assert_array_equal(seeds_and_pixels(drawn)[1], expected("draw", 11, 5))


@pytest.mark.parametrize(
    "flag, text",
    [
        ("--runner=DaskRunner", "DaskRunner leaves out shards"),
        ("--runer=FlinkRunner", "Beam does not know --runer"),
    ],
)
def test_flags_that_beam_cannot_have(sample, job, flag, text):
    pytest.importorskip("apache_beam")
    command = sample(job(), "--engine", "beam", "--", flag)
    assert command.wait() == 1
    assert text in command.errors
