"""Load on a server while versions change, disks fail and the server is killed.

Eight honest clients, `ImageClient`s that retry, call every signature of every model and
compare each answer with the reference of the weights that must be served at that
moment. Two hostile clients send the requests of `hostile_trial` that must be refused.
Meanwhile events happen in turn, see `EVENTS`. The trial fails if an honest request is
lost or gets another answer, if a bad one is accepted, if an event does not end as it
should, or if the server's memory grows.

    python -m tests.export.load_trial --laptop --minutes 2
    python -m tests.export.load_trial --server tensorflow_model_server
    python -m tests.export.load_trial --docker tensorflow/serving:2.20.0

Every event happens at least once, even if that takes longer than `--minutes`. The
events that end the server happen in the first half of the time only, so that the second
half shows its memory. Full and read-only disks need Linux and root, who may mount a
tmpfs. Prints Markdown.
"""

import argparse
import collections
import contextlib
import functools
import itertools
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile
import time

import keras
import numpy as np
import requests
import tensorflow as tf

from genimg_export.clients import ClientError, ImageClient
from genimg_export.clients.rest import RestModel
from genimg_export.metadata import content_hash, read_metadata
from genimg_export.probes import random_inputs
from genimg_export.saved_graph import SavedGraph
from genimg_export.versions import LOADING_SECONDS, UNFINISHED
from tests.export import hostile_trial
from tests.export.hostile_trial import (
    HONEST,
    HOSTILE,
    MAX_EXAMPLES,
    MODELS,
    refused_requests,
)
from tests.export.running_server import calling, free_port, started, wait_until
from tests.subprocesses import start_forked

# `genimg-client --retries 60` waits for 14 minutes, in which a busy machine starts a
# server twice.
RETRIES = 60
WAIT = 600  # Seconds in which a server must start, or load a version.
PAUSE = 2  # Seconds between two events.
MOST_GROWTH = 1.1  # Of memory in the time without restarts.
LEAST_MINUTES = 10  # Of a server's life, to judge its memory.
LABELED, ON_SMALL_DISK = "labeled", "small"  # Two more models, both VAEs.
DISK_BYTES = 8 * 2**20
AWAY = ("ConnectionError", "ChunkedEncodingError")  # The server was killed.


def write_sources(folder):
    """Export each model twice with other weights; return paths by model."""
    sources = collections.defaultdict(list)
    for name, make in MODELS.items():
        for seed in (1, 2):
            path = folder / name / str(seed)
            if not path.exists():
                keras.utils.set_random_seed(seed)
                options = {"max_examples": MAX_EXAMPLES, "batching": True}
                make().export(path, verbose=False, **options)
            sources[name].append(path)
    return {**sources, LABELED: sources["vae"], ON_SMALL_DISK: sources["vae"]}


def sha256(path):
    """Return what identifies the weights of a version, and of its copies."""
    return read_metadata(path)["sha256"]


def reference_requests(sources):
    """Return `(signature, inputs, outputs by sha256)` for all signatures of a model.

    Args:
        sources: Paths of SavedModels of the model with different weights.
    """
    signatures = SavedGraph(sources[0]).signatures
    loaded = {sha256(path): tf.saved_model.load(str(path)) for path in sources}
    found = []
    for (name, signature), size in itertools.product(signatures.items(), (1, 3)):
        inputs = random_inputs(signature, size, seed=size)
        tensors = {key: tf.constant(value) for key, value in inputs.items()}
        outputs = {}
        for weights, module in loaded.items():
            # `unmerged` computes a request alone, without the queues for batching.
            function = module.unmerged.get(name) or module.signatures[name]
            outputs[weights] = {k: v.numpy() for k, v in function(**tensors).items()}
        found.append((name, inputs, outputs))
    return found


def same(got, expected):
    """Whether outputs are equal, apart from rounding."""
    for key, value in expected.items():
        if value.dtype.kind == "f":
            equal = np.allclose(got[key], value, rtol=1e-4, atol=1e-4)
        else:
            equal = hostile_trial.same(got[key].tolist(), value.tolist())
        if not equal:
            return False
    return True


class CountedModel:
    """A `RestModel` or `GrpcModel` whose attempts to predict are counted."""

    def __init__(self, model):
        self._model, self.attempts = model, []
        self.signatures = model.signatures

    def predict(self, signature, inputs):
        """Count, and predict."""
        self.attempts.append(signature.name)
        return self._model.predict(signature, inputs)


class Honest:
    """Clients that call all signatures in turn, and what became of their requests.

    Attributes:
        allowed: By name of model, the sets of `sha256` that could answer, the last one
            now.
    """

    def __init__(self):
        self.allowed = collections.defaultdict(list)
        self._asks, self._turns = [], itertools.count()
        self.models = []
        self.seconds, self.lost, self.wrong = [], [], []

    def add(self, name, model, asked, **options):
        """Add requests to ask of a model.

        Args:
            name: Name of the model.
            model: `RestModel` or `GrpcModel`.
            asked: Result of `reference_requests`.
            options: Options of `ImageClient`.
        """
        self.models.append(CountedModel(model))
        options = {"retries": RETRIES, **options}
        client = ImageClient(self.models[-1], **options)
        self._asks += [(name, client, *each) for each in asked]
        # The signatures of a model do not follow each other.
        random.Random(0).shuffle(self._asks)

    @property
    def retried(self):
        """Number of attempts after the first ones of requests."""
        attempts = sum(len(model.attempts) for model in self.models)
        return attempts - len(self.seconds) - len(self.lost)

    def ask(self):
        """Send the next request and judge the answer."""
        asked = self._asks[next(self._turns) % len(self._asks)]
        name, client, signature, inputs, expected = asked
        allowed, start = self.allowed[name], time.monotonic()
        since = len(allowed) - 1
        try:
            outputs = client.predict(signature, **inputs)
        except ClientError as error:
            self.lost.append(f"{signature} of {name}: {error}")
            return
        self.seconds.append(time.monotonic() - start)
        # Any version that was served since the request was sent may have answered.
        served = frozenset().union(*allowed[since:])
        right = {weights for weights in expected if same(outputs, expected[weights])}
        if not right & served:
            what = "of a version that is not served" if right else "of no version"
            self.wrong.append(f"{signature} of {name}: the answer is {what}")


class Server:
    """A server that can be killed and started again at the same address.

    Args:
        given: Arguments of the command line.
        base: Directory of the models.
        names: Names of the models.
        folder: Directory for logs.
    """

    def __init__(self, given, base, names, folder):
        self._given, self._base, self._names, self._folder = given, base, names, folder
        self._port, self._grpc_port = free_port(), free_port()
        self._running, self._container = contextlib.ExitStack(), "genimg-load-trial"
        self.url = f"http://127.0.0.1:{self._port}"
        self.stable, self.starts, self.process = 1, 0, None

    @property
    def grpc(self):
        """Address of gRPC, or None."""
        if self._given.laptop or self._given.rest_only:
            return None
        if self._given.docker:
            return f"127.0.0.1:{self._grpc_port}"
        return f"unix:{self._folder}/grpc"

    def start(self):
        """Start the server and wait until it serves all models."""
        self.starts += 1
        log = self._folder / f"log_{self.starts}.txt"
        self.process = self._running.enter_context(
            started(self._command(), log, self.answers, WAIT)
        )

    def kill(self):
        """Kill the server, which must be alive."""
        assert self.process is not None and self.is_alive(), "it has ended by itself"
        if self._given.docker:
            subprocess.run(["docker", "kill", self._container], check=True)
        else:
            self.process.kill()
        self.process.wait()
        self._running.close()

    def stop(self):
        """Let the server answer its requests and end, if it has not."""
        if self._given.docker and self.is_alive():
            subprocess.run(["docker", "stop", self._container], check=True)
        self._running.close()

    def label(self, number):
        """Give the label `stable` to a version, and wait until it has it."""
        self.stable = number
        if self._given.laptop:  # It takes labels as arguments.
            self.stop()
            self.start()
        else:
            self._write_config()

        def labeled():
            reply = self._get(f"{LABELED}/labels/stable/metadata")
            spec = reply.json().get("model_spec", {})
            return spec.get("version") == str(number)

        wait_until(labeled)

    def answers(self):
        """Return whether the server answers for all models."""
        with contextlib.suppress(requests.RequestException):
            return all(self._get(f"{name}/metadata").ok for name in self._names)
        return False

    def statuses(self, name):
        """Return `(state, error)` by version of a model."""
        reply = self._get(name).json()
        return {
            int(each["version"]): (each["state"], each["status"].get("error_message"))
            for each in reply["model_version_status"]
        }

    def is_alive(self):
        """Return whether the process has not ended."""
        return self.process is not None and self.process.poll() is None

    def memory(self):
        """Return the resident memory in MiB."""
        assert self.process is not None
        pid = self.process.pid
        if self._given.docker:
            asked = ["docker", "inspect", "-f", "{{.State.Pid}}", self._container]
            pid = int(subprocess.check_output(asked))
        status = pathlib.Path(f"/proc/{pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def _get(self, path):
        return requests.get(f"{self.url}/v1/models/{path}", timeout=60)

    def _command(self):
        docker = ["--name", self._container]
        docker += ["-p", f"127.0.0.1:{self._grpc_port}:8500"]
        command = hostile_trial.server_command(
            self._given, self._base, self._port, self._folder / "grpc", *docker
        )
        if self._given.laptop:
            labels = {"stable": self.stable, "one": 1, "two": 2}
            return [
                *command,
                *(f"--label={LABELED}:{label}={n}" for label, n in labels.items()),
            ]
        self._write_config()
        command.append(f"--model_config_file={self._base}/models.config")
        command.append("--model_config_file_poll_wait_seconds=1")
        command.append("--allow_version_labels_for_unavailable_models=true")
        if self._given.enable_batching:
            command.append("--enable_batching")
        return command

    def _write_config(self):
        labels = f'version_labels {{ key: "stable" value: {self.stable} }}'
        versions = "specific { versions: 1 versions: 2 }"
        more = {LABELED: f"model_version_policy {{ {versions} }} {labels}"}
        text = hostile_trial.config(self._base, self._names, more)
        written = self._base / ".models.config"
        written.write_text(text)
        written.rename(self._base / "models.config")


def export(given):
    """Publish as `genimg-export` does, without the verification's minute."""
    from genimg_export.export_model import run_command

    sys.exit(run_command({**given, "verify": False, "verbose": False}))


class Trial:
    """Models that are published, served, and asked for.

    Args:
        given: Arguments of the command line.
        folder: Directory for the models, logs and sources.
        sources: Paths of SavedModels by model, two of each.

    Attributes:
        server: The `Server`.
        honest: The `Honest` clients, who are told which versions may answer.
        events: List of `(name, seconds, error or None)`.
        memory: List of `(minutes, number of starts, MiB)`.
    """

    def __init__(self, given, folder, sources):
        self._base, self._folder, self._sources = folder / "models", folder, sources
        self._swapped = itertools.cycle(name for name in sources if name in MODELS)
        self._random, self._publication_seconds = random.Random(0), 1.0
        self._base.mkdir(exist_ok=True)
        self.honest = Honest()
        self.server = Server(given, self._base, list(sources), folder)
        self.events, self.memory, self.begin = [], [], time.monotonic()

    def prepare_clients(self):
        """Let honest clients ask for the newest versions, or the labeled one."""
        references = {}
        for name, paths in self._sources.items():
            kind = "vae" if name in (LABELED, ON_SMALL_DISK) else name
            if kind not in references:
                references[kind] = reference_requests(paths)
            versions, label = self.versions(name), None
            number = max(versions)
            if name == LABELED:
                number, label = self.server.stable, "stable"
            self.allow(name, [versions[number]])
            rest = RestModel(self.server.url, name, label=label)
            self.honest.add(name, rest, references[kind])
            if self.server.grpc:
                from genimg_export.clients.grpc import GrpcModel

                grpc = GrpcModel(self.server.grpc, name, label=label)
                self.honest.add(name, grpc, references[kind])

    def allow(self, name, paths):
        """Let these versions of a model answer from now on."""
        self.honest.allowed[name].append(frozenset(map(sha256, paths)))

    def next_model(self):
        """Return the name of the next model to publish."""
        return next(self._swapped)

    def random(self, most):
        """Return a random number from 0 to `most`."""
        return self._random.uniform(0, most)

    def folder(self, name):
        """Return the folder of a model."""
        return self._base / name

    def versions(self, name):
        """Return paths of the versions of a model by number."""
        found = (self._base / name).glob("[0-9]*")
        return {int(path.name): path for path in found}

    def start_publication(self, name):
        """Start to publish a version with other weights than the newest one's."""
        versions, source = self.versions(name), self._sources[name][0]
        if versions:
            newest = sha256(versions[max(versions)])
            (source,) = [p for p in self._sources[name] if sha256(p) != newest]
        self.allow(name, self._sources[name])
        given = {"model": source, "base_dir": self._base, "name": name, "keep": 2}
        return start_forked(export, given, output=self._folder / "published.txt")

    def publish(self, name):
        """Publish a version, and check what is left."""
        start = time.monotonic()
        self.ends(self.start_publication(name))
        self._publication_seconds = time.monotonic() - start
        folder = self._base / name
        assert len(self.versions(name)) <= 2, f"{folder} keeps more than 2 versions"
        assert not list(folder.glob(f"{UNFINISHED}*")), f"{folder} has leftovers"

    def ends(self, publication):
        """Wait until a publication has succeeded."""
        publication.join(WAIT)
        printed = (self._folder / "published.txt").read_text()
        assert publication.exitcode == 0, f"publish: {publication.exitcode} {printed}"

    def kill_publication(self, name):
        """Kill a publication at a random moment after it has begun to write."""
        publication, folder = self.start_publication(name), self._base / name
        with contextlib.suppress(AssertionError):  # It may end before it is seen.
            wait_until(lambda: list(folder.glob(f"{UNFINISHED}*")))
        publication.join(self.random(self._publication_seconds))
        publication.kill()
        publication.join()

    def fails_to_publish(self, name, error):
        """Publish where that is not possible; the error must say why."""
        before, publication = self.versions(name), self.start_publication(name)
        publication.join(WAIT)
        *_, last = (self._folder / "published.txt").read_text().splitlines() or [""]
        assert publication.exitcode == 1, f"publish: {publication.exitcode} {last}"
        assert last.startswith("Not published: ") and error in last, last
        assert self.versions(name) == before, "a failed publication changed versions"

    def settle(self, name):
        """Wait until the newest version is served alone, and ask for it from now on.

        Every version on the disk must be whole, and none must have failed to load.
        """
        versions = self.versions(name)
        for path in versions.values():
            content = content_hash(path, read_metadata(path))
            assert content == sha256(path), f"{path} is not whole"

        def served():
            found = self.server.statuses(name)
            states = {n for n, (state, _) in found.items() if state != "END"}
            errors = {n: error for n, (_, error) in found.items() if error}
            assert not errors, f"versions of {name} failed to load: {errors}"
            return states == {max(versions)} and found[max(versions)][0] == "AVAILABLE"

        wait_until(served, WAIT)
        self.allow(name, [versions[max(versions)]])
        # No server is loading them any more, so let `keep` remove them.
        old = time.time() - LOADING_SECONDS - 1
        for path in versions.values():
            os.utime(path, (old, old))

    def run(self, event):
        """Let an event happen; keep its time and what was wrong."""
        start, error = time.monotonic(), None
        try:
            event(self)
        except Exception as raised:  # The trial goes on and reports it.
            error = f"{type(raised).__name__}: {raised}"
        self.events.append((event.__name__, time.monotonic() - start, error))
        self.sample_memory()
        done = f"{self.minutes():.1f} min: {event.__name__}, {error or 'ok'}"
        print(done, file=sys.stderr, flush=True)

    def minutes(self):
        """Return the age of the trial."""
        return (time.monotonic() - self.begin) / 60

    def sample_memory(self):
        """Note the memory of the server if it is alive."""
        if self.server.is_alive():
            sample = self.minutes(), self.server.starts, self.server.memory()
            self.memory.append(sample)


def swap_versions(trial):
    """A new version replaces an old one, and the oldest is deleted."""
    name = trial.next_model()
    trial.publish(name)
    trial.settle(name)


def kill_publication(trial):
    """`publish` is killed; the version is there or not, but never half of it."""
    name = trial.next_model()
    trial.kill_publication(name)
    trial.settle(name)


def fill_disk(trial):
    """The disk is full after some bytes of a version, which fits later."""
    disk = trial.folder(ON_SMALL_DISK)
    filler = disk / "filler"
    newest = max(trial.versions(ON_SMALL_DISK).items())[1]
    size = sum(file.stat().st_size for file in newest.rglob("*") if file.is_file())
    found = os.statvfs(disk)
    free = found.f_bavail * found.f_frsize
    filler.write_bytes(bytes(int(free - trial.random(0.9 * size))))
    try:
        trial.fails_to_publish(ON_SMALL_DISK, "No space left on device")
    finally:
        filler.unlink()
    trial.settle(ON_SMALL_DISK)
    trial.publish(ON_SMALL_DISK)
    trial.settle(ON_SMALL_DISK)


def forbid_writing(trial):
    """The disk is read-only, and later not."""
    disk = trial.folder(ON_SMALL_DISK)
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        trial.fails_to_publish(ON_SMALL_DISK, "Read-only file system")
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    trial.settle(ON_SMALL_DISK)


def kill_server(trial):
    """The server is killed while a version is published, and started again."""
    name = trial.next_model()
    publication = trial.start_publication(name)
    trial.server.kill()
    time.sleep(1)  # All clients see that it is away.
    trial.server.start()
    trial.ends(publication)
    trial.settle(name)


def roll_back(trial):
    """The label `stable` moves to version 2, and back to version 1."""
    versions = trial.versions(LABELED)
    for number in (2, 1):
        trial.allow(LABELED, versions.values())
        trial.server.label(number)
        trial.allow(LABELED, [versions[number]])


EVENTS = (
    swap_versions,
    kill_publication,
    fill_disk,
    kill_server,
    roll_back,
    forbid_writing,
)
NEED_A_DISK = {fill_disk, forbid_writing}


def run_events(trial, events, minutes, restarting):
    """Let events happen in turn, each at least once.

    Args:
        trial: The `Trial`.
        events: Functions of it.
        minutes: Time after which no more happen.
        restarting: The events that end the server, for the first half of the time.
    """
    for number in itertools.count():
        event = events[number % len(events)]
        if number >= len(events):
            if trial.minutes() > minutes:
                break
            if event in restarting and trial.minutes() > minutes / 2:
                continue
        trial.run(event)
        time.sleep(PAUSE)


def growth(memory):
    """Return how memory grew since the last start: `(minutes, factor)`.

    The first quarter of that time, in which caches fill, is left out. In the rest, the
    median of the last third is divided by that of the first third.
    """
    starts = memory[-1][1]
    life = [(minute, size) for minute, start, size in memory if start == starts]
    minutes = life[-1][0] - life[0][0]
    sizes = [size for minute, size in life if minute >= life[0][0] + minutes / 4]
    third = -(-len(sizes) // 3)
    return minutes, statistics.median(sizes[-third:]) / statistics.median(sizes[:third])


def faults(honest, accepted, events, memory):
    """Return texts about all that was lost."""
    found = [f"lost: {text}" for text in honest.lost]
    found += [f"wrong: {text}" for text in honest.wrong]
    found += [f"accepted: {form}: {statuses}" for form, statuses in accepted.items()]
    found += [f"{event}: {error}" for event, _, error in events if error]
    if not honest.seconds:
        found.append("no honest request was answered")
    minutes, factor = growth(memory)
    if minutes >= LEAST_MINUTES and factor > MOST_GROWTH:
        found.append(f"memory: {factor:.2f} times as much after {minutes:.0f} min")
    return found


def small_disk(folder):
    """Return a context in which a folder is a small disk, or None without the right."""
    folder.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES}", "tmpfs", folder]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        folder.rmdir()
        return None
    stack = contextlib.ExitStack()
    stack.callback(subprocess.run, ["umount", "--lazy", folder], check=True)
    return stack


def print_report(trial, hostile, found):
    """Print tables of the clients, the events and the memory, and the faults."""
    honest = trial.honest
    seconds = honest.seconds or [np.nan]
    print("\n| honest requests | retried | lost | wrong | p50 | p99 | longest |")
    print("|---|---|---|---|---|---|---|")
    times = [f"{np.percentile(seconds, part):.3f} s" for part in (50, 99, 100)]
    counts = len(honest.seconds), honest.retried, len(honest.lost), len(honest.wrong)
    print("|", *[f"{cell} |" for cell in (*counts, *times)])
    bad = sum(sum(c.values()) for c in hostile.statuses.values())
    print(f"\n{bad} bad requests of {len(hostile.statuses)} forms.\n")
    print("| event | times | failed | median |")
    print("|---|---|---|---|")
    for name in dict.fromkeys(name for name, _, _ in trial.events):
        mine = [each for each in trial.events if each[0] == name]
        failed = sum(error is not None for _, _, error in mine)
        median = statistics.median(each[1] for each in mine)
        print(f"| {name} | {len(mine)} | {failed} | {median:.1f} s |")
    print("\n| minute | server's start | memory, MiB |")
    print("|---|---|---|")
    step = max(1, len(trial.memory) // 20)
    shown = sorted({*range(0, len(trial.memory), step), len(trial.memory) - 1})
    for minute, start, size in [trial.memory[number] for number in shown]:
        print(f"| {minute:.1f} | {start} | {size:.0f} |")
    minutes, factor = growth(trial.memory)
    judged = "" if minutes >= LEAST_MINUTES else ", too short to judge"
    print(f"\nMemory in the last {minutes:.1f} min: times {factor:.3f}{judged}.\n")
    for text in found[:20]:
        print(text)
    print(f"{len(found)} faults." if found else "Nothing was lost.")


def run_trial(given, folder):
    """Run a trial in a folder; return its exit code."""
    disk = small_disk(folder / "models" / ON_SMALL_DISK)
    events = [e for e in EVENTS if disk is not None or e not in NEED_A_DISK]
    if disk is None:
        left_out = ", ".join(event.__name__ for event in EVENTS if event not in events)
        print(f"Left out, since this user may not mount a disk: {left_out}")
    with disk or contextlib.nullcontext():
        sources = write_sources(given.sources or folder / "sources")
        if disk is None:
            del sources[ON_SMALL_DISK]
        trial = Trial(given, folder, sources)
        for name in [*sources, LABELED]:  # The labels need two versions.
            trial.publish(name)
        trial.prepare_clients()
        # The server's own batching lets bad requests fail those of others.
        hostile = hostile_trial.Hostile(trial.server.url, refused_requests())
        with contextlib.ExitStack() as running:
            trial.server.start()
            running.callback(trial.server.stop)
            trial.begin = time.monotonic()
            trial.sample_memory()
            running.enter_context(calling(trial.honest.ask, HONEST))
            if not given.enable_batching:
                session = running.enter_context(requests.Session())
                attack = functools.partial(be_hostile, hostile, session)
                running.enter_context(calling(attack, HOSTILE))
            restarting = {kill_server, roll_back} if given.laptop else {kill_server}
            run_events(trial, events, given.minutes, restarting)
    accepted = hostile.accepted(AWAY)
    found = faults(trial.honest, accepted, trial.events, trial.memory)
    print_report(trial, hostile, found)
    return bool(found)


def be_hostile(hostile, session):
    """Send a bad request, and leave most of the time to honest clients."""
    hostile.send(session)
    time.sleep(0.2)


def main():
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--server", help="path of tensorflow_model_server")
    which.add_argument("--docker", help="image of TensorFlow Serving")
    which.add_argument("--laptop", action="store_true", help="run genimg-serve")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--rest-only", action="store_true", help="no clients of gRPC")
    parser.add_argument(
        "--sources", type=pathlib.Path, help="directory that keeps exported models"
    )
    parser.add_argument(
        "--enable-batching",
        action="store_true",
        help="merge requests in the server itself, without hostile clients",
    )
    given = parser.parse_args()
    if given.laptop and given.enable_batching:
        parser.error("--enable-batching is an option of TensorFlow Serving")
    with tempfile.TemporaryDirectory() as folder:
        return run_trial(given, pathlib.Path(folder).resolve())


if __name__ == "__main__":
    sys.exit(main())
