"""Processes on this machine. One that was killed is started again."""

import collections
import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import wait
from typing import Any

from ..shards import BulkError

MOST_DEATHS = 3


def run(job, indexes, arguments):
    """Write shards."""
    context = multiprocessing.get_context("spawn")  # TensorFlow does not fork.
    count = min(arguments.workers, len(indexes))
    waiting, deaths = collections.deque(indexes), collections.Counter()
    busy: Any = {}  # A process and its shard, by the connection to it.

    def start():
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(job, count, theirs), daemon=True)
        process.start()
        theirs.close()  # Then the connection ends with the process.
        give(ours, process)

    def give(connection, process):
        if not waiting:
            return connection.close()
        busy[connection] = process, waiting.popleft()
        with contextlib.suppress(BrokenPipeError):  # If it was killed, see below.
            connection.send(busy[connection][1])

    try:
        for _ in range(count):
            start()
        while busy:
            connection: Any = wait(busy)[0]
            process, index = busy.pop(connection)
            try:
                error = connection.recv()
            except (EOFError, ConnectionResetError):
                process.join()
                deaths[index] += 1
                if deaths[index] == MOST_DEATHS:
                    end = f"ended {MOST_DEATHS} processes, exit code {process.exitcode}"
                    raise BulkError(f"shard {index} {end}") from None
                waiting.appendleft(index)
                start()
            else:
                if error:
                    raise BulkError(f"shard {index}: {error}")
                give(connection, process)
    finally:
        for process, _ in busy.values():
            process.kill()


def _work(job, num_workers, connection):
    """Write shards until the connection is closed.

    Args:
        job: `SampleJob` or `ScoreJob`.
        num_workers: Number of processes that share the cores.
        connection: Connection on which indexes of shards arrive. For each, the text of
            an error is sent back, or None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process ends this one.
    threads = max(1, (os.cpu_count() or 1) // num_workers)
    call = None
    while True:
        try:
            index = connection.recv()
        except EOFError:
            return
        error = None
        try:
            call = call or job.model.load(threads)
            job.write(index, call)
        except BulkError as raised:
            error = str(raised)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        connection.send(error)
