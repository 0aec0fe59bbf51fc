"""Calls of compiled functions on many images: seeds, batches and progress."""

import math
import random
import time
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.inputs.images import (
    checked_inputs,
    checked_values,
    inputs_of,
    without_tuple,
)
from keras_genimg.model_types import ImageModel
from keras_genimg.ops.checks import as_array, check_choice, check_positive_int
from keras_genimg.ops.uniforms import MAX_SEED

# Seconds of silence under `verbose="auto"`.
PATIENCE = 2.0
# Operations from which on a batch may take over 15 s of two CPU cores.
SLOW = 1e11
# Seconds that a batch of `timed_slices` should take.
_BATCH_SECONDS = 0.5


def image_seeds(num_images, seed):
    """Return the seed of each image.

    Args:
        num_images: Number of images.
        seed: None for a random seed, the first of consecutive seeds, or one seed per
            image.

    Returns:
        NumPy int64 array of shape `(num_images,)`.

    Raises:
        ValueError: If a seed is not an integer from 0 to `MAX_SEED`, or their number is
            not `num_images`.
    """
    if seed is None:
        seed = random.randrange(2**31)
    seeds = as_array("seed", seed)
    valid = seeds.dtype.kind in "iu" and seeds.shape in ((), (num_images,))
    if valid:
        seeds = seeds.astype("int64")  # From 2**63 on, they become negative.
        if seeds.ndim == 0:
            seeds = seeds + np.arange(num_images)
        valid = (seeds >= 0).all() and (seeds <= MAX_SEED).all()
    if not valid:
        raise ValueError(
            f"`seed` must be an integer from 0 to 2**62 - 1, or one such integer for "
            f"each of the {num_images} images. Received: seed={seed!r}"
        )
    return seeds


def seeded_batches(function, seed):
    """Return a function of batches of images that gives each image its own seed.

    Args:
        function: Function of float32 images and their seeds.
        seed: Integer seed of the first image, with consecutive seeds for the next ones,
            or None for a random one.

    Raises:
        ValueError: If `seed` is not one integer from 0 to `MAX_SEED`. The returned
            function raises it if a batch needs larger seeds.
    """
    if seed is not None and np.ndim(seed) != 0:
        raise ValueError(
            f"`seed` must be one integer here, that of the first image. Received: "
            f"seed={seed!r}"
        )
    next_seed = int(image_seeds(1, seed)[0])

    def call(images):
        nonlocal next_seed
        images = tf.cast(images, tf.float32)
        seeds = next_seed + np.arange(len(images))
        if seeds[-1] > MAX_SEED:
            raise ValueError(
                f"`seed` is too large for the number of images: their seeds exceed "
                f"2**62 - 1. Received: seed={seed!r}"
            )
        next_seed += len(images)
        return function(images, tf.constant(seeds, tf.int64))

    return call


def call_in_batches(
    model: ImageModel,
    function,
    inputs,
    batch_size,
    verbose,
    method,
    note="",
    cost=0,
    num_threads=1,
):
    """Call a function that generates images, batch by batch.

    Args:
        model: The model that generates, for messages.
        function: Function of one tensor per array in `inputs` that returns a tensor or
            a structure of tensors.
        inputs: Arrays with one element per image to generate.
        batch_size: Number of images in a batch.
        verbose: See `reported`.
        method: Name of the public method, for messages.
        note: See `reported`.
        cost: Operations that an image takes. If a batch may take long, it is announced.
        num_threads: Largest number of batches to generate at the same time.

    Returns:
        NumPy arrays for all images, in the structure that `function` returns.

    Raises:
        ValueError: If `batch_size` is not an integer of at least 1.
        RuntimeError: If it is called in a `tf.function`.
    """
    batch_size = check_positive_int("batch_size", batch_size, method)
    task = eager_task(model, method)
    total = len(inputs[0])
    slow = cost * min(total, batch_size) > SLOW
    parts = slices(total, batch_size)
    num_threads = num_threads if total > batch_size else 1
    batches = _batches(inputs, parts)
    return _called(function, batches, num_threads, task, total, verbose, note, slow)


def map_images(
    model: ImageModel,
    function,
    images,
    method,
    batch_size,
    verbose,
    note="",
    splits=False,
):
    """Call a function on batches of a model's inputs.

    Args:
        model: A `GenerativeModel`.
        function: Function of `(images, *conditions)`, tensors or arrays, that returns a
            tensor or a structure of tensors with one element per image.
        images: Images in the likelihood's own range, as an array or a
            `tf.data.Dataset` of batches; all inputs of a model with conditions.
        method: Name of the public method, for error texts.
        batch_size: Number of images in a batch, for arrays.
        verbose: See `reported`.
        note: See `reported`.
        splits: Whether arrays may be split into smaller batches that take about half a
            second each. The split depends on the speed of the machine, so the
            function's results must not depend on the batch, to the last bit.

    Returns:
        NumPy arrays for all images, in the structure that `function` returns.

    Raises:
        ValueError: If there are no images, or their shape, a pixel or a condition does
            not fit.
        RuntimeError: If it is called in a `tf.function`.
    """
    batch_size = check_positive_int("batch_size", batch_size, method)
    task = eager_task(model, method)
    data = checked_inputs(images, model, task)
    if isinstance(data, tf.data.Dataset):
        total, unit = int(data.cardinality()), "batch"
        batches = (checked_values(without_tuple(x), model, task) for x in data)
    else:
        inputs = inputs_of(data, model)
        total, unit = len(inputs[0]), "image"
        parts = (timed_slices if splits else slices)(total, batch_size)
        batches = _batches(inputs, parts)
    return _called(function, batches, 1, task, total, verbose, note, unit=unit)


def eager_task(model: ImageModel, method):
    """Return the name of a method that returns arrays, which a graph cannot compute."""
    task = f"{model.name}.{method}"
    if not tf.executing_eagerly():
        raise RuntimeError(
            f"{task} returns NumPy arrays. Call it outside of `tf.function` and of "
            f"functions that `tf.data.Dataset.map` is given."
        )
    return task


def _batches(inputs, parts):
    return ([values[part] for values in inputs] for part in parts)


def _called(function, batches, num_threads, task, *report, **options):
    """Call a function on batches, lists of arrays, and report, see `reported`.

    Returns:
        NumPy arrays: the results of all batches, concatenated.

    Raises:
        ValueError: If there is no batch.
    """

    def called(batch):
        # A data set may yield an empty batch, which not all functions take.
        if len(batch[0]) == 0:
            return batch[0], None
        # Tensors are made only now, since the pool of threads asks for all batches at
        # once, and tensors of all would fill the memory.
        tensors = map(tf.constant, batch)
        return batch[0], tf.nest.map_structure(np.asarray, function(*tensors))

    pool = ThreadPoolExecutor(num_threads)

    def pairs():  # Nothing is called before the report begins.
        yield from (pool.map if num_threads > 1 else map)(called, batches)

    try:
        reports = reported(pairs(), task, *report, **options)
        results = [arrays for images, arrays in reports if len(images)]
    finally:
        # After an error or Ctrl+C, some calls have not begun.
        pool.shutdown(cancel_futures=True)
    if not results:
        raise ValueError(f"{task} received no images: all batches are empty")
    return tf.nest.map_structure(lambda *parts: np.concatenate(parts), *results)


def reported(batches, task, total, verbose="auto", note="", slow=False, unit="image"):
    """Yield batches, and report after each how much of a long call is done.

    Args:
        batches: Iterable of batches. The first element of each has one entry per image.
        task: Name of the task, such as `"vae.log_prob"`.
        total: Number of images or batches; unknown if below 0.
        verbose: 0 for silence, 1 for a progress bar, 2 for one line at the end;
            "auto" for silence in the first two seconds, then a line that names the
            task, and a bar.
        note: Reason for a long run, such as `"784 forward passes per batch"`.
        slow: Whether a batch may take long, see `SLOW`. The line is then printed before
            the first one.
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


def cost_of_image(model: ImageModel, shape):
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
