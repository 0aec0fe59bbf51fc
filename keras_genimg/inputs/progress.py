"""Progress reports of long calls."""

import threading
import time

import keras
import tensorflow as tf

from keras_genimg.ops.checks import check_choice

# Seconds of silence under `verbose="auto"`.
PATIENCE = 2.0
# Seconds between two checks of the work, and until an idle watching thread ends.
_INTERVAL = 0.2
_IDLE = 10.0
# Seconds that a batch of `timed_slices` should take.
_BATCH_SECONDS = 0.5


class Progress:
    """Context manager that reports the progress of a long call.

    Reports come from a timer, because a single long graph call cannot report from
    inside. If nothing has been printed after two seconds, one line names the task, and
    Keras' progress bar follows after each batch. With a `GraphCounter`, the bar also
    moves within a batch.

    Args:
        task: Name of the task, such as `"vae.log_prob"`.
        total: Number of images or batches; unknown if below 0.
        verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
            "auto" for silence in the first two seconds, then a bar.
        note: Reason for a long run, such as `"784 forward passes per batch"`.
        unit: Unit of `total`.
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
        self._running = True
        self._spoken = False
        # Keras' setting is per thread, so the watching thread cannot read it.
        interactive = keras.utils.is_interactive_logging_enabled()
        self._speaks = verbose in ("auto", 1) and interactive

    def __enter__(self):
        self._began = time.monotonic()
        if self._speaks:
            _watch(self)
        return self

    def begin(self, count):
        """Report that work on `count` images or batches has begun."""
        with self._lock:
            self._batch = count
            if self._inside is not None:
                self._inside.reset()

    def add(self, count):
        """Report that `count` more images or batches are done."""
        with self._lock:
            self._done += count
            self._batch = 0
            self._running = self._done != self._bar.target
            if self._is_due() and not self._spoken:
                self._speak()
            else:
                self._bar.update(self._done)

    def _is_due(self):
        silent = time.monotonic() - self._began < PATIENCE
        return self._speaks and self._running and not silent

    def look(self):
        """Show the progress if nothing has been shown for long enough.

        Returns:
            Whether the work is still running.
        """
        with self._lock:
            if self._is_due():
                if not self._spoken:
                    self._speak()
                elif self._inside is not None:
                    part = int(self._batch * self._inside.fraction())
                    if part:
                        self._bar.update(self._done + min(part, self._batch - 1))
            return self._running

    def _speak(self):
        self._spoken = True
        if not self._done or not self._bar.verbose:
            print(self._line, flush=True)
        self._bar.verbose = 1
        if self._done:
            self._bar.update(self._done)

    def __exit__(self, *error):
        with self._lock:
            self._running = False
            if self._bar.target is None:
                self._bar.update(self._done, finalize=True)


# One thread watches all calls: starting one for each would slow down calls that take
# only a few milliseconds.
_watched = []
_watching = threading.Lock()
_thread = None


def _watch(progress):
    """Have a thread watch `progress` until it ends."""
    global _thread
    with _watching:
        _watched.append(progress)
        if _thread is None:
            _thread = threading.Thread(target=_look_after_all, daemon=True)
            _thread.start()


def _look_after_all():
    """Check all watched calls in turn; end after a while without any."""
    global _thread
    idle = 0.0
    while True:
        time.sleep(_INTERVAL)
        with _watching:
            watched = list(_watched)
            idle = 0.0 if watched else idle + _INTERVAL
            if idle > _IDLE:
                _thread = None
                return
        for progress in watched:
            if not progress.look():
                with _watching:
                    _watched.remove(progress)


class GraphCounter:
    """Counts steps of work inside a graph call, to be read while it runs.

    Args:
        num_steps: Number of steps per call.
    """

    def __init__(self, num_steps):
        self.num_steps = num_steps
        with tf.init_scope(), tf.device("CPU"):
            self._done = tf.Variable(0, trainable=False)

    def report(self, done):
        """Record the number of finished steps, an int32 scalar, in a graph."""
        self._done.assign(done)

    def reset(self):
        """Reset the count, outside of a graph."""
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
    """Yield slices of `size` that cover `total` images."""
    for start in range(0, total, size):
        yield slice(start, min(start + size, total))


def timed_slices(total, largest):
    """Yield slices that cover `total` images, each about half a second's work.

    The first has one image. The slices double, up to `largest` images, while the work
    between two of them is short, and halve when it is long.
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
