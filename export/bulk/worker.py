"""What a process of the engine `local` does."""

import os
import signal

from .errors import BulkError


def work(job, num_workers, connection):
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
