"""What `genimg-bulk-sample` and `genimg-bulk-score` have in common."""

import contextlib
import importlib
import os
import pathlib
import sys
import threading

from ..arguments import integer
from ..files import remove, remove_leftovers
from ..install_hint import install_hint
from .shards import BulkError, claim, is_whole

ENGINES = ("local", "ray", "beam")


def parse(parser, arguments=None):
    """Add the arguments of both commands to a parser, and parse a command line."""
    add = parser.add_argument
    add("--model", required=True, metavar="DIR", help="directory of saved_model.pb")
    add(
        "--output",
        required=True,
        metavar="PREFIX",
        help="path that the names of all files begin with; on a file system that all "
        "workers share",
    )
    add(
        "--batch-size",
        type=integer(1),
        default=64,
        metavar="N",
        help="images per call of the model (64)",
    )
    add("--engine", choices=ENGINES, default="local", help="default: local")
    add(
        "--workers",
        type=integer(1, 4096),
        default=1,
        metavar="N",
        help="processes, Ray actors, or threads of Beam's own runner (1)",
    )
    add(
        "--ray-address",
        metavar="ADDRESS",
        help="running Ray cluster (default: a new one on this machine)",
    )
    add(
        "--shard-index",
        type=integer(0),
        metavar="I",
        help="write this shard only, as a task of an array job",
    )
    add("beam_flags", nargs="*", metavar="FLAG", help="flags of Beam, after --")
    given = parser.parse_args(arguments)
    if given.output.endswith(os.sep) or os.path.isdir(given.output):
        parser.error(
            f"--output is what the names of files begin with, such as "
            f"{os.path.join(given.output, 'images')}; {given.output} is a folder"
        )
    if given.beam_flags and given.engine != "beam":
        parser.error(f"unrecognized arguments: {' '.join(given.beam_flags)}")
    if given.ray_address and given.engine != "ray":
        parser.error("--ray-address goes with --engine ray")
    if given.shard_index is not None and given.engine != "local":
        parser.error("--shard-index goes with --engine local")
    return given


def run(job, arguments):
    """Write the shards of a job that are not there yet.

    Args:
        job: `SampleJob` or `ScoreJob`.
        arguments: Arguments of the command line.

    Raises:
        BulkError: If another run was begun here, or a shard cannot be written.
    """
    indexes = everything = range(job.num_shards)
    if arguments.shard_index is not None:
        if arguments.shard_index not in indexes:
            raise BulkError(
                f"there are {job.num_shards} shards, from 0; --shard-index is "
                f"{arguments.shard_index}"
            )
        indexes = [arguments.shard_index]
    claim(job.prefix, job.record())
    missing = [index for index in indexes if not is_whole(job.path(index))]
    for index in missing:
        remove(pathlib.Path(job.path(index)))  # Damaged, if it is there.
    engine = importlib.import_module(f".engines.{arguments.engine}", __package__)
    try:
        with _progress(job, indexes):
            if missing:
                engine.run(job, missing, arguments)
    finally:
        there = [index for index in everything if os.path.exists(job.path(index))]
        covered, total = (sum(map(job.size, part)) for part in (there, everything))
        print(f"{covered:,} of {total:,} {job.unit}s written.", flush=True)
    if len(there) == job.num_shards:
        for index in set(everything) - set(indexes):  # Those of other tasks.
            if not is_whole(job.path(index)):
                raise BulkError(
                    f"{job.path(index)} is damaged, or has lost its record; run the "
                    f"command with --shard-index {index}, or without --shard-index"
                )
        remove_leftovers([job.path(index) for index in there])
        for line in job.finish():
            print(line)


@contextlib.contextmanager
def _progress(job, indexes):
    """Show a progress bar of all existing shards, also of other processes."""
    try:
        from tqdm import tqdm
    except ImportError as error:
        raise BulkError(f"{error}: {install_hint('bulk')}") from None
    # No bar in a log file.
    bar = tqdm(total=sum(map(job.size, indexes)), unit=job.unit, disable=None)
    stopped = threading.Event()

    def watch():
        missing, last = set(indexes), False
        while not last:
            last = stopped.wait(0.5)
            there = {index for index in missing if os.path.exists(job.path(index))}
            missing -= there
            bar.update(sum(map(job.size, there)))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()
        bar.close()


def call(name, make_job, arguments):
    """Make a job and run it; return the exit code.

    Args:
        name: Name of the command, for messages.
        make_job: Function of the arguments that returns the job.
        arguments: Arguments of the command line.
    """
    try:
        run(make_job(arguments), arguments)
    except (BulkError, OSError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print(f"{name}: interrupted. Run it again to continue.", file=sys.stderr)
        return 130
    return 0
