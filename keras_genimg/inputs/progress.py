"""Progress reports of long calls."""

import math
import time

import keras

from keras_genimg.ops.checks import check_choice

# Seconds of silence under `verbose="auto"`.
PATIENCE = 2.0
# Operations from which on a computation may take over 15 s of two CPU cores.
SLOW = 1e11
# Seconds that a batch of `timed_slices` should take.
_BATCH_SECONDS = 0.5


def reported(batches, task, total, verbose="auto", note="", slow=False, unit="image"):
    """Yield batches, and report after each how much of a long call is done.

    Args:
        batches: Iterable of lists of tensors.
        task: Name of the task, such as `"vae.log_prob"`.
        total: Number of images or batches; unknown if below 0.
        verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
            "auto" for silence in the first two seconds, then a line that names the
            task, and a bar.
        note: Reason for a long run, such as `"784 forward passes per batch"`.
        slow: Whether a batch may take minutes. The line is then printed before it.
        unit: `"image"` or `"batch"`, the unit of `total`.

    Raises:
        ValueError: If `verbose` is not as described.
    """
    check_choice("verbose", verbose, ("auto", 0, 1, 2), task)
    bar = keras.utils.Progbar(
        total if total >= 0 else None,
        verbose=0 if verbose == "auto" else verbose,
        unit_name=unit,
    )
    plural = {"image": "images", "batch": "batches"}[unit]
    count = f"{total} {unit if total == 1 else plural}" if total >= 0 else ""
    line = f"{task}: {', '.join(filter(None, [count, note]))} ..."
    is_interactive = keras.utils.is_interactive_logging_enabled()
    if slow and verbose in ("auto", 1) and is_interactive:
        print(line, flush=True)
        bar.verbose = 1
    began, done = time.monotonic(), 0
    for batch in batches:
        yield batch
        done += 1 if unit == "batch" else len(batch[0])
        is_late = time.monotonic() - began > PATIENCE and done != total
        if verbose == "auto" and not bar.verbose and is_late and is_interactive:
            print(line, flush=True)
            bar.verbose = 1
        bar.update(done)
    if total < 0:
        bar.update(done, finalize=True)


def cost_of_image(model, shape):
    """Return about how many operations a forward pass of one image takes."""
    return 2 * model.count_params() * math.prod(shape[:2])


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
