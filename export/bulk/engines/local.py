"""Processes on this machine. One that was killed is started again."""

import collections
import multiprocessing
import os
import signal
from multiprocessing.connection import wait

from ...quiet_start import import_tensorflow
from ..errors import BulkError

MOST_DEATHS = 3


def run(job, indexes, arguments):
    """Write shards."""
    # Not forked: TensorFlow has threads, which a fork would not have.
    context = multiprocessing.get_context("spawn")
    count = min(arguments.workers, len(indexes))
    threads = max(1, len(os.sched_getaffinity(0)) // count)
    waiting, deaths = collections.deque(indexes), collections.Counter()
    busy = {}  # The process and its shard, by the connection to it.

    def start():
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_work, args=(job, threads, theirs), daemon=True
        )
        process.start()
        theirs.close()  # Then the death of the process closes the connection.
        give(ours, process)

    def give(connection, process):
        if waiting:
            busy[connection] = process, waiting.popleft()
            connection.send(busy[connection][1])
        else:
            connection.close()

    try:
        for _ in range(count):
            start()
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
                    continue
                if error:
                    raise BulkError(f"shard {index}: {error}")
                give(connection, process)
    finally:
        for process, _ in busy.values():
            process.kill()


def _work(job, threads, connection):
    """Write the shards whose indexes arrive, until the connection is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process stops this one.
    import_tensorflow()
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    call = None
    while True:
        try:
            index = connection.recv()
        except EOFError:
            return
        try:
            call = call or job.model.load()
            job.write(index, call)
        except BulkError as error:
            connection.send(str(error))
        except Exception as error:
            connection.send(f"{type(error).__name__}: {error}")
        else:
            connection.send(None)
