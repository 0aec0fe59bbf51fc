"""Processes on this machine. One that was killed is started again."""

import collections
import contextlib
import multiprocessing
from multiprocessing.connection import wait
from typing import Any

from ..errors import BulkError
from ..worker import work

MOST_DEATHS = 3


def run(job, indexes, arguments):
    """Write shards."""
    context = multiprocessing.get_context("spawn")  # TensorFlow does not fork.
    count = min(arguments.workers, len(indexes))
    waiting, deaths = collections.deque(indexes), collections.Counter()
    busy: Any = {}  # A process and its shard, by the connection to it.

    def start():
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(job, count, theirs), daemon=True)
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
