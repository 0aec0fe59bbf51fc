"""Progress of work that may take long."""

import threading
import time

import keras

from keras_genimg.ops.checks import check_choice

# Seconds of silence under `verbose="auto"`.
PATIENCE = 2.0
# Seconds that a batch of `timed_slices` should take.
_BATCH_SECONDS = 0.5


class Progress:
    """Reports how far a call is, a context manager around the work.

    A timer, not the work, decides when to speak, because a single graph call of many
    seconds cannot report from inside. If nothing is on screen after two seconds, one
    line says what is running, and Keras' progress bar follows after each batch.

    Args:
        task: What is running, such as `"vae.log_prob"`.
        total: Number of images or batches; unknown if below 0.
        verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
            "auto" for silence in the first two seconds, then a bar.
        note: What makes the work long, such as `"784 forward passes per batch"`.
        unit: What `total` counts.

    Raises:
        ValueError: If `verbose` is not as described.
    """

    def __init__(self, task, total, verbose="auto", note="", unit="image"):
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
        self._running = True
        self._lock = threading.Lock()
        # Keras' switch holds for one thread, so the timer's thread cannot ask.
        interactive = keras.utils.is_interactive_logging_enabled()
        self._speaks = verbose in ("auto", 1) and interactive
        self._timer = threading.Timer(PATIENCE, self._speak)
        self._timer.daemon = True

    def __enter__(self):
        if self._speaks:
            self._timer.start()
        return self

    def add(self, count):
        """Report that `count` more images or batches are done."""
        with self._lock:
            self._done += count
            self._running = self._done != self._bar.target
            self._bar.update(self._done)

    def _speak(self):
        with self._lock:
            if not self._running:
                return
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
        if self._speaks:
            self._timer.cancel()
            self._timer.join()


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
