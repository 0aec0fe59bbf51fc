"""What a process of the engine `local` does."""

import signal

from ..quiet_start import import_tensorflow
from .errors import BulkError


def work(job, threads, connection):
    """Write shards until the connection is closed.

    Args:
        job: `SampleJob` or `ScoreJob`.
        threads: Number of TensorFlow's threads.
        connection: Connection on which indexes of shards arrive. For each, the text of
            an error is sent back, or None.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # The first process ends this one.
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
        error = None
        try:
            call = call or job.model.load()
            job.write(index, call)
        except BulkError as raised:
            error = str(raised)
        except Exception as raised:
            error = f"{type(raised).__name__}: {raised}"
        connection.send(error)
