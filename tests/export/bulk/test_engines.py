"""Both commands as they are run, on processes that are killed."""

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

pytest.importorskip("tqdm", reason='needs the extra "bulk"')

from export.bulk.engines import local  # noqa: E402
from export.bulk.shards import BulkError  # noqa: E402
from tests.export.bulk.files import content, seeds_and_pixels  # noqa: E402
from tests.export.bulk.jobs import Job  # noqa: E402
from tests.subprocesses import ROOT  # noqa: E402

pytestmark = pytest.mark.slow


class Command:
    """A running command; `output` and `errors` are there after `wait`."""

    def __init__(self, folder, name, *arguments, **environment):
        folder.mkdir(exist_ok=True)
        for blocked in ("keras", "keras_genimg", "tensorflow_probability"):
            text = "raise ImportError('not for workers')"
            (folder / f"{blocked}.py").write_text(text)
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

    def workers(self):
        """Return the process numbers of its workers."""
        found = []
        for folder in os.listdir("/proc"):
            with contextlib.suppress(OSError, ValueError):
                number = int(folder)
                with open(f"/proc/{number}/stat") as opened:
                    parent = int(opened.read().rsplit(")", 1)[1].split()[1])
                with open(f"/proc/{number}/cmdline") as opened:
                    ours = "spawn_main" in opened.read()
                if parent == self.process.pid and ours:
                    found.append(number)
        return found


def options(base_dir, model, output, **more):
    given = {"model": base_dir / model / "1", "output": output, "batch_size": 2, **more}
    return [
        text
        for name, value in given.items()
        for text in (f"--{name.replace('_', '-')}", value)
    ]


@pytest.fixture
def sample(base_dir, tmp_path):
    """Function that starts to draw the images of a job."""

    def start(job, *more, first_seed=5):
        given = options(
            base_dir,
            "draw",
            job.prefix,
            format="npz",
            first_seed=first_seed,
            num_images=job.num_images,
            num_shards=job.num_shards,
        )
        return Command(tmp_path / "blocked", "sample.py", *given, *more)

    return start


def test_killed_processes_are_started_again(sample, job, expected, tmp_path):
    drawn = job(num_images=600, num_shards=12)
    command = sample(drawn, "--workers", 2)
    killed = 0
    while command.process.poll() is None:
        if killed < 2 and (workers := command.workers()):
            os.kill(workers[killed % len(workers)], signal.SIGKILL)
            killed += 1
        time.sleep(0.5)
    assert command.wait() == 0, command.errors
    assert killed == 2
    assert command.output == "600 of 600 images written.\n"
    seeds, images = seeds_and_pixels(drawn)
    np.testing.assert_array_equal(seeds, np.arange(5, 605))
    np.testing.assert_array_equal(images, expected("draw", 600, 5))
    assert not list((tmp_path / "drawn").glob(".digits*"))


def test_array_tasks_and_going_on(sample, job, expected, tmp_path):
    drawn = job()
    task = sample(drawn, "--shard-index", 1)
    assert task.wait() == 0, task.errors
    assert task.output == "4 of 11 images written.\n" and not task.errors
    before = content(tmp_path / "drawn")
    assert sorted(before) == [
        ".shards/digits-00001-of-00003.npz.json",
        "digits-00001-of-00003.npz",
        "digits-run.json",
    ]
    written = os.stat(drawn.path(1)).st_mtime_ns
    refused, rest = sample(drawn, first_seed=6), sample(drawn)
    assert refused.wait() == 1
    assert "sample: another run was begun under this --output" in refused.errors
    assert rest.wait() == 0, rest.errors
    assert rest.output == "11 of 11 images written.\n"
    assert os.stat(drawn.path(1)).st_mtime_ns == written
    np.testing.assert_array_equal(seeds_and_pixels(drawn)[1], expected("draw", 11, 5))


def test_scores_of_drawn_images(base_dir, tmp_path, models):
    drawn, scored = tmp_path / "drawn" / "a", tmp_path / "scored" / "a"
    sampled = Command(
        tmp_path,
        "sample.py",
        *options(base_dir, "pixels", drawn, num_images=5, num_shards=2, label=2),
    )
    assert sampled.wait() == 0, sampled.errors
    score = Command(
        tmp_path,
        "score.py",
        *options(base_dir, "pixels", scored, data=drawn, format="csv"),
    )
    assert score.wait() == 0, score.errors
    assert score.output.startswith("2 of 2 shards written.\n5 images: ")
    summary = json.loads((tmp_path / "scored" / "a-summary.json").read_text())
    model, labels = models["pixels"], np.full(5, 2)
    images = model.generate(5, seed=0, conditions=labels)
    nats = -model.log_prob({model.inputs[0].name: images, "label": labels})
    np.testing.assert_allclose(summary["nats"], nats.mean(), rtol=1e-6)


def run_local(job, indexes, workers):
    local.run(job, indexes, argparse.Namespace(workers=workers))


def test_a_shard_that_always_ends_its_process(tmp_path):
    with pytest.raises(BulkError, match="shard 1 ended 3 processes, exit code -9"):
        run_local(Job(tmp_path, failures=3), [1], 1)


def test_an_exception_is_named(tmp_path):
    with pytest.raises(BulkError, match="shard 4: ValueError: no paper"):
        run_local(Job(tmp_path, 0, "no paper"), [4], 1)
    assert not list(tmp_path.iterdir())


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
