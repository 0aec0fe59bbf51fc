"""Progress of work that may take long."""

import threading
import time

import keras
import tensorflow as tf

from keras_genimg.ops.checks import check_choice

# Seconds of silence under `verbose="auto"`.
PATIENCE = 2.0
# Seconds between two looks into a graph call.
_INTERVAL = 1.0
# Seconds that a batch of `timed_slices` should take.
_BATCH_SECONDS = 0.5


class Progress:
    """Reports how far a call is, a context manager around the work.

    A timer, not the work, decides when to speak, because a single graph call of many
    seconds cannot report from inside. If nothing is on screen after two seconds, one
    line says what is running, and Keras' progress bar follows after each batch. With a
    `GraphCounter` it also moves within a batch.

    Args:
        task: What is running, such as `"vae.log_prob"`.
        total: Number of images or batches; unknown if below 0.
        verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
            "auto" for silence in the first two seconds, then a bar.
        note: What makes the work long, such as `"784 forward passes per batch"`.
        unit: What `total` counts.
        inside: The `GraphCounter` that the work of a batch reports to, or None.

    Raises:
        ValueError: If `verbose` is not as described.
    """

    def __init__(self, task, total, verbose="auto", note="", unit="image", inside=None):
        check_choice("verbose", verbose, ("auto", 0, 1, 2), task)
        known = total >= 0
        plural = {"image": "images", "batch": "batches"}[unit]
        count = f"{total} {unit if total == 1 else plural}" if known else ""
        self._line = f"{task}: {', '.join(filter(None, [count, note]))} ..."
        self._bar = keras.utils.Progbar(
            total if known else None,
            verbose=0 if verbose == "auto" else verbose,
            unit_name=unit,
        )
        self._done = 0
        self._batch = 0
        self._inside = inside
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # Keras' switch holds for one thread, so the watching thread cannot ask.
        interactive = keras.utils.is_interactive_logging_enabled()
        self._speaks = verbose in ("auto", 1) and interactive
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self):
        if self._speaks:
            self._thread.start()
        return self

    def begin(self, count):
        """Report that work on `count` images or batches begins."""
        with self._lock:
            self._batch = count
            if self._inside is not None:
                self._inside.reset()

    def add(self, count):
        """Report that `count` more images or batches are done."""
        with self._lock:
            self._done += count
            self._batch = 0
            if self._done == self._bar.target:
                self._ended.set()
            self._bar.update(self._done)

    def _watch(self):
        if self._ended.wait(PATIENCE):
            return
        with self._lock:
            if self._ended.is_set():
                return
            if not self._done or not self._bar.verbose:
                print(self._line, flush=True)
            self._bar.verbose = 1
            if self._done:
                self._bar.update(self._done)
        while self._inside is not None and not self._ended.wait(_INTERVAL):
            with self._lock:
                part = int(self._batch * self._inside.fraction())
                if part and not self._ended.is_set():
                    self._bar.update(self._done + min(part, self._batch - 1))

    def __exit__(self, *error):
        with self._lock:
            self._ended.set()
            if self._bar.target is None:
                self._bar.update(self._done, finalize=True)
        if self._speaks:
            self._thread.join()


class GraphCounter:
    """Counts steps of work inside a graph call, to be read while it runs.

    Args:
        num_steps: How many steps a call takes.
    """

    def __init__(self, num_steps):
        self.num_steps = num_steps
        with tf.init_scope(), tf.device("CPU"):
            self._done = tf.Variable(0, trainable=False)

    def report(self, done):
        """Say, in a graph, how many steps are done, an int32 scalar."""
        self._done.assign(done)

    def reset(self):
        """Begin anew, outside of a graph."""
        self._done.assign(0)

    def fraction(self):
        """Return the part of the work that is done, from 0 to 1."""
        return int(self._done.numpy()) / self.num_steps


class Counted:
    """A function whose calls report to a `GraphCounter`.

    Args:
        function: The function.
        counter: The `GraphCounter`, or None.
    """

    def __init__(self, function, counter):
        self.function = function
        self.counter = counter

    def __call__(self, *arguments):
        return self.function(*arguments)


def slices(total, size):
    """Yield slices of `size` that cover `total` rows."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def timed_slices(total, largest):
    """Yield slices that cover `total` rows, each about half a second's work.

    The first has one row. The next ones double, up to `largest` rows, while the work
    between two slices is short, and halve when it is long.
    """
    start, size = 0, 1
    while start < total:
        stop = min(start + size, total)
        began = time.monotonic()
        yield slice(start, stop)
        seconds = time.monotonic() - began
        if seconds > _BATCH_SECONDS:
            size = max(1, size // 2)
        elif seconds < _BATCH_SECONDS / 2:
            size = min(2 * size, largest)
        start = stop
