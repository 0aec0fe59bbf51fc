"""Processes on this machine. One that was killed is started again."""

import collections
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
    busy: dict[Any, Any] = {}  # A process and its shard, by the connection to it.

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
        connection.send(busy[connection][1])

    try:
        for _ in range(count):
            start()
        connection: Any
        while busy:
            for connection in wait(list(busy)):
                process, index = busy.pop(connection)
                try:
                    error = connection.recv()
                except (EOFError, ConnectionResetError):
                    process.join()
                    deaths[index] += 1
                    if deaths[index] == MOST_DEATHS:
                        raise BulkError(
                            f"shard {index} ended {MOST_DEATHS} processes, the last "
                            f"with exit code {process.exitcode}; is memory short?"
                        ) from None
                    waiting.appendleft(index)
                    start()
                else:
                    if error:
                        raise BulkError(f"shard {index}: {error}")
                    give(connection, process)
    finally:
        for process, _ in busy.values():
            process.kill()
