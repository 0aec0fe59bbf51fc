"""Exact resume of training."""

import contextlib
import json
import pathlib
import re
import warnings
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

from genimg_export.files import atomic_path, file_lock, sync
from keras_genimg.datasets.batches import describe
from keras_genimg.fitting.data import are_arrays, array_epochs, epochs_of
from keras_genimg.fitting.fitter import ArrangingCallback
from keras_genimg.fitting.workarounds import parts_of
from keras_genimg.keras_private import (
    averages_of,
    build_for_step,
    expect_no_averages,
    is_multi_worker,
)
from keras_genimg.model_types import ImageModel
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.ops.workers import is_chief, sum_over_workers
from keras_genimg.types import PathLike

LOCK = ".lock"
# A folder keeps the last complete file and the one before it.
NUM_KEPT = 2
_NAME = re.compile(r"state-(\d+)-(\d+)\.npz")
# Keras numbers the names of layers and models in the order of their making, and a class
# may be in another file in a later version.
_NOT_COMPARED = ("name", "keras_history", "registered_name", "build_config", "module")


class Resume(ArrangingCallback):
    """Save the state of training, and continue from it exactly.

    Run a script again after it was stopped or killed: `fit` continues where the last
    saved state ends, and ends with the same weights, to the last bit, as a run that was
    never stopped. A finished run trains no further step. With more `epochs` it
    continues.

    Saved are all variables (weights, optimizer, averages, seeds of noise, loss scale,
    and the metrics of the running epoch), the history, the epoch and the position in
    it. Not saved is what other callbacks remember, such as the patience of
    `EarlyStopping`. They are told of the batches of the running epoch that are skipped,
    as if these were trained. Put this callback last, so that others have done their
    work when an epoch is saved.

    The order and the noise of the data are functions of seed, epoch and position, and
    nothing of an iterator is saved. This holds for arrays and for the data sets of
    `keras_genimg.datasets`, unchanged: a `.map` hides what they are. Other sources are
    refused, also as validation data, unless they repeat exactly.

    Under several workers, the first one saves, and all read the same directory. With
    another number of replicas than before, metrics of the running epoch continue from
    their sums.

    Args:
        directory: Directory of the states, made if there is none. One run at a time.
        save_every: Number of batches after which to save. By default, only the end of
            each epoch is saved; it always is.
        seed: Integer seed of the order of arrays. Data sets have their own.
        repeats_exactly: Whether another source of batches, such as a
            `tf.data.Dataset` of your own, gives the same batches in each epoch and each
            run. It is then read and skipped up to the position.
        verbose: Whether to print where training continues.

    Raises:
        ValueError: If an argument is not as described. From `fit`: if the directory
            holds the states of another model, optimizer, batch size, `shuffle`, seed or
            data, or stops within an epoch of another `steps_per_execution`; if
            another run uses it; if workers found different states; or if training or
            validation data may not repeat.
        TypeError: From `fit` of a model that is not one of `keras_genimg.models`.

    Example:
        >>> model.fit(images, epochs=10, callbacks=[Resume("outputs/run")])
    """

    def __init__(
        self,
        directory: PathLike,
        save_every: int | None = None,
        *,
        seed: int = 0,
        repeats_exactly: bool = False,
        verbose: bool = True,
    ):
        super().__init__()
        self.directory = pathlib.Path(directory)
        if save_every is not None:
            save_every = check_positive_int("save_every", save_every, "Resume")
        self.save_every = save_every
        self.seed = check_int("seed", seed)
        self.repeats_exactly = repeats_exactly
        self.verbose = verbose
        self._epoch_values: Any = None  # `arranged` sets it in `fit`.

    @contextlib.contextmanager
    def arranged(
        self, model: ImageModel, x: Any, arguments: dict[str, Any]
    ) -> Iterator[tuple[Any, dict[str, Any]]]:
        x, arguments, description = self._begun_anywhere(x, dict(arguments))
        self.directory.mkdir(parents=True, exist_ok=True)
        strategy = model.distribute_strategy
        self._writes = is_chief(strategy)
        with contextlib.ExitStack() as stack:
            if self._writes:
                self._lock(stack)
            # Make all variables, which Keras would make in the first step.
            if not model.compiled:
                raise ValueError(
                    f"{model.name}.fit needs a compiled model. Call `compile` before "
                    f"it. Received: a model without an optimizer"
                )
            with strategy.scope():
                build_for_step(model, next(iter(x)))
            self._run = describe_run(model, description)
            self._restore(model, load_state(self.directory))
            self._check_workers(strategy)
            # Only sources that this library made describe their batch size.
            reads_skipped = "batch_size" not in description
            if self._position:
                stack.enter_context(self._skipped_steps(model, reads_skipped))
            self._epoch_values = ReplicaValues(strategy, model.epoch_variables())
            stack.callback(setattr, self, "_epoch_values", None)
            callbacks = tf.nest.flatten(arguments.get("callbacks") or [])
            arguments["callbacks"] = [*self._before_swaps(callbacks), self._history]
            yield x, {**arguments, "initial_epoch": self._first_epoch}

    def _begun_anywhere(self, x, arguments):
        """Return training data that begins where the variables say.

        Args:
            x: Training data, checked.
            arguments: The other arguments of `keras.Model.fit`; those that belong to
                arrays are taken out.

        Returns:
            Data and arguments for `keras.Model.fit`, and what tells the data from
            other data.
        """
        for name in ("validation_split", "steps_per_epoch", "initial_epoch"):
            value = arguments.pop(name, None)
            if value:
                raise ValueError(
                    f"Resume arranges the training data, which leaves no place for "
                    f"`{name}`. Leave it out; pass `validation_data` instead of a "
                    f"split. Received: {name}={value!r}"
                )
        with tf.device("CPU:0"):
            self._next_epoch = tf.Variable(0, dtype=tf.int64, trainable=False)
            self._next_start = tf.Variable(0, dtype=tf.int64, trainable=False)
        validation, *_ = arguments.get("validation_data") or (None,)
        epochs = epochs_of(validation)
        if epochs is not None:
            arguments["validation_data"] = epochs.read(self._next_epoch)
        elif validation is not None and not are_arrays(validation):
            self._check_repeats("validation", validation)
        epochs, shuffle = epochs_of(x), None
        if epochs is None and are_arrays(x):
            shuffle = bool(arguments.pop("shuffle", True))
            parts = (x, arguments.pop("y", None), arguments.pop("sample_weight", None))
            arrays = tuple(part for part in parts if part is not None)
            contiguous = map(np.ascontiguousarray, tf.nest.flatten(arrays))
            epochs = array_epochs(
                arrays,
                int(arguments.pop("batch_size", None) or 32),
                shuffle=shuffle,
                seed=self.seed,
                description=describe({}, dict(enumerate(contiguous))),
            )
        # By default, Keras reads the batches of a `PyDataset` in random order, in which
        # no position means the same batch again.
        arguments["shuffle"] = False
        if epochs is None:
            self._check_repeats("training", x)
            count = x.cardinality() if isinstance(x, tf.data.Dataset) else len(x)
            data = {"num_batches": int(count), "source": type(x).__name__}
            return x, arguments, {"data": data}
        description = {
            "batch_size": epochs.batch_size,
            "seed": epochs.seed,
            "data": {"num_batches": epochs.num_batches, **epochs.description},
            # It is None for a data set, so other data must be named first in an error.
            "shuffle": shuffle,
        }
        return epochs.read(self._next_epoch, self._next_start), arguments, description

    def _check_repeats(self, use, x):
        kind = type(x).__name__
        if hasattr(x, "__next__"):
            raise ValueError(
                f"Resume cannot begin {use} data of type {kind} again, since it can be "
                f"read only once. Pass a tf.data.Dataset or a keras.utils.PyDataset "
                f"and Resume(repeats_exactly=True). Received: data of type {kind}"
            )
        if not self.repeats_exactly:
            raise ValueError(
                f"Resume cannot know whether {use} data of type {kind} repeats "
                f"exactly. Pass arrays or a data set of keras_genimg.datasets, "
                f"unchanged; or, if each epoch of each run has the same batches in the "
                f"same order, Resume(repeats_exactly=True). Received: data of type "
                f"{kind}"
            )

    @contextlib.contextmanager
    def _skipped_steps(self, model: ImageModel, reads):
        """Leave out the first steps of `fit`, which were trained before.

        Args:
            model: The model.
            reads: Whether to read their batches.
        """
        model.make_train_function()
        step, num_steps = model.train_function, model.steps_per_execution
        left = self._position

        def step_unless_skipped(iterator):
            nonlocal left
            if left <= 0:
                return step(iterator)
            left -= num_steps
            for _ in range(num_steps if reads else 0):
                next(iterator)
            return model.get_metrics_result()

        model.train_function = step_unless_skipped
        try:
            yield
        finally:
            # `compile`, called by a callback, asks for another one.
            if model.train_function is step_unless_skipped:
                model.train_function = step

    def _before_swaps(self, callbacks):
        """Return callbacks that read weights before `SwapEMAWeights` swaps them.

        Afterwards, the weights would be the averages, and be lost after the last epoch.
        """
        kind = keras.callbacks.SwapEMAWeights
        self._swaps = [each for each in callbacks if isinstance(each, kind)]
        if not self._swaps:
            return callbacks
        first = callbacks.index(self._swaps[0])
        if first > callbacks.index(self):
            return callbacks
        read = keras.callbacks.LambdaCallback(on_epoch_end=self._read_unswapped)
        return [*callbacks[:first], read, *callbacks[first:]]

    def _read_unswapped(self, epoch, logs):
        variables = list(self.model.trainable_variables)
        for part in parts_of(self.model.optimizer):
            variables += averages_of(part)
        self._unswapped = {id(v): np.asarray(v.numpy()) for v in variables}

    def _lock(self, stack):
        try:
            stack.enter_context(file_lock(self.directory / LOCK, wait=False))
        except BlockingIOError as error:
            raise ValueError(
                f"Another run uses the directory of Resume. Wait for it to end, or use "
                f"another directory. Received: {self.directory}"
            ) from error

    def _check_workers(self, strategy):
        """Raise unless all workers continue from the same state."""
        if not is_multi_worker(strategy):
            return
        number = float(self._first_epoch * 10**9 + self._position)
        total = sum_over_workers(strategy, number)
        if total != number * strategy.num_replicas_in_sync:
            raise ValueError(
                f"Workers found different states, so they must not train together. "
                f"Give Resume a directory that all workers share. Received: "
                f"{self.directory}, with epoch {self._first_epoch + 1}, batch "
                f"{self._position + 1} on this worker"
            )

    def _variables(self, model: ImageModel):
        """Return all variables except those of the metrics."""
        return [*model.variables, *model.optimizer.variables]

    def _restore(self, model: ImageModel, state):
        self._history = keras.callbacks.History()
        self._first_epoch = self._position = 0
        self._unswapped = {}
        if state is None:
            return
        if not state.position:  # Between epochs, it may change.
            state.run.pop("steps_per_execution", None)
        check_same_run(state.run, self._run, self.directory)
        self._first_epoch, self._position = state.epoch, state.position
        self._history.history = dict(state.history)
        variables = self._variables(model)
        for variable, value in zip(variables, state.values, strict=False):
            # NumPy stores bfloat16 as two bytes without a type.
            dtype = tf.as_dtype(variable.dtype).as_numpy_dtype
            variable.assign(value if value.dtype.kind != "V" else value.view(dtype))
        # These wait until Keras has reset the metrics.
        self._metrics = state.values[len(variables) :]

    def on_train_begin(self, logs: Any = None) -> None:
        if self._epoch_values is None:
            raise TypeError(
                f"Resume works in `fit` of a model of keras_genimg.models, in a list "
                f"of callbacks. Received: a model of type {type(self.model).__name__}"
            )
        if self._first_epoch + self._position == 0:
            return
        if self.verbose and self._first_epoch >= self.params["epochs"]:
            print(f"All {self.params['epochs']} epochs are trained already.")
        elif self.verbose:
            place = f"epoch {self._first_epoch + 1}, batch {self._position + 1}"
            print(f"Resuming at {place}.")
        # These are the same bits as at the end of the epoch.
        for swap in self._swaps:
            expect_no_averages(swap)
            if self._position == 0:
                swap.on_epoch_end(self._first_epoch - 1)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._epoch = epoch
        self._skipped = self._position if epoch == self._first_epoch else 0
        self._next_epoch.assign(epoch)
        self._next_start.assign(self._skipped)
        self._history.epoch = list(range(epoch))
        if self._skipped:
            self._epoch_values.write(self._metrics)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        done, every = batch + 1, self.save_every
        if every is None or done <= self._skipped:
            return
        if done % every < self.model.steps_per_execution:
            self._save(self._epoch, done, self._history.history)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        # The history callback comes after this one.
        history = {key: list(values) for key, values in self._history.history.items()}
        for key, value in (logs or {}).items():
            history.setdefault(key, []).append(value)
        self._save(epoch + 1, 0, history)
        self._unswapped = {}

    def on_train_end(self, logs: Any = None) -> None:
        if not self._history.epoch:  # No epoch was left to train.
            self._history.epoch = list(range(self._first_epoch))
        self.model.history = self._history

    def _save(self, epoch, position, history):
        history = {k: [float(v) for v in values] for k, values in history.items()}
        # All workers read, since each has its own metrics.
        variables = self._variables(self.model)
        values = [self._unswapped.get(id(v), np.asarray(v.numpy())) for v in variables]
        values += self._epoch_values.read()
        if self._writes:
            state = RunState(epoch, position, history, self._run, values)
            save_state(self.directory, state)


class ReplicaValues:
    """Read and write variables that each replica keeps for itself, such as metrics.

    Their sum alone is not enough to continue exactly: with its parts on other replicas,
    later sums are rounded in another way.

    All workers must call the methods together.

    Args:
        strategy: The `tf.distribute.Strategy` of the variables.
        variables: Keras variables with `synchronization="on_read"`.
    """

    def __init__(
        self,
        strategy: tf.distribute.Strategy,
        variables: Sequence[keras.Variable],
    ):
        self.strategy = strategy
        self.variables = list(variables)
        # It is traced once for all states of a run.
        self._gather = tf.function(self._gathered, autograph=False)

    def read(self) -> list[np.ndarray]:
        """Return each variable's values of all replicas, along a new first axis."""
        if self.strategy.num_replicas_in_sync == 1:
            return [np.asarray(v.numpy())[None] for v in self.variables]
        return [np.asarray(value) for value in self._gather()]

    def write(self, values: Sequence[np.ndarray]) -> None:
        """Set the variables to what `read` returned.

        If that was on another number of replicas, only the sums are kept.
        """
        replicas = self.strategy.num_replicas_in_sync
        if replicas == 1 or any(len(value) != replicas for value in values):
            for variable, value in zip(self.variables, values, strict=True):
                variable.assign(value.sum(axis=0))
            return

        def assign():
            replica = tf.distribute.get_replica_context().replica_id_in_sync_group
            for variable, value in zip(self.variables, values, strict=True):
                variable.assign(tf.constant(value)[replica])

        tf.function(lambda: self.strategy.run(assign), autograph=False)()

    def _gathered(self):
        parts = self.strategy.run(
            lambda: [tf.convert_to_tensor(v)[None] for v in self.variables]
        )
        return [self.strategy.gather(part, axis=0) for part in parts]


class RunState(NamedTuple):
    """The state of a training run between two batches.

    Attributes:
        epoch: Number of the epoch that the next batch belongs to.
        position: Index of that batch in its epoch.
        history: Dict of lists by name of metric, as `History` has it.
        run: Description of the run, JSON values.
        values: Arrays, one for each variable.
    """

    epoch: int
    position: int
    history: dict[str, list[float]]
    run: dict[str, Any]
    values: list[np.ndarray]


def save_state(directory: pathlib.Path, state: RunState) -> None:
    """Write a state; remove all but the last files.

    A file appears under its name when it is complete and on the disk.
    """
    about = json.dumps([state.epoch, state.position, state.history, state.run])
    arrays = {f"{i}": value for i, value in enumerate(state.values)}
    path = directory / f"state-{state.epoch:06d}-{state.position:09d}.npz"
    with atomic_path(path) as unfinished:
        with open(unfinished, "wb") as opened:
            np.savez(opened, about=np.frombuffer(about.encode(), np.uint8), **arrays)
        sync(unfinished)
    sync(directory)
    for old in _files(directory)[NUM_KEPT:]:
        old.unlink(missing_ok=True)


def load_state(directory: pathlib.Path) -> RunState | None:
    """Return the last state that can be read, or None if there is none.

    Warns of files that cannot be read, such as those a full disk has cut off.
    """
    for path in _files(directory):
        try:
            with open(path, "rb") as opened, np.load(opened) as stored:
                about = json.loads(stored["about"].tobytes())
                values = [stored[f"{i}"] for i in range(len(stored.files) - 1)]
            return RunState(*about, values)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            warnings.warn(
                f"{path} cannot be read, so training continues from an earlier state, "
                f"or from the beginning if there is none: {error}",
                stacklevel=2,
            )
    return None


def _files(directory):
    """Return the paths of the states, the last one first."""
    found = []
    for path in directory.iterdir():
        match = _NAME.fullmatch(path.name)
        if match:
            found.append(((int(match[1]), int(match[2])), path))
    return [path for _, path in sorted(found, reverse=True)]


def describe_run(model: ImageModel, data):
    """Return a description that is equal for the same model, optimizer and data.

    Args:
        model: A compiled model.
        data: Description of the training data, JSON values.
    """
    return {
        "model": {
            "config": _plain(keras.saving.serialize_keras_object(model)["config"]),
            "variables": [[*v.shape, str(v.dtype)] for v in model.variables],
        },
        "optimizer": _plain(keras.saving.serialize_keras_object(model.optimizer)),
        "steps_per_execution": model.steps_per_execution,
        **json.loads(json.dumps(data)),
    }


def check_same_run(saved, now, directory):
    """Raise if two descriptions differ, and name the difference.

    Raises:
        ValueError: If they differ.
    """
    for key, value in saved.items():
        if key in ("model", "optimizer"):
            value = _plain(value)
        # Earlier versions left out the names of data too.
        if value in (now.get(key), _plain(now.get(key))):
            continue
        was, is_now = _first_difference(value, now.get(key))
        raise ValueError(
            f"Resume found another {key.replace('_', ' ')} in {directory} than that of "
            f"this run, so training cannot continue exactly. Use another directory, or "
            f"remove this one to start again. Saved: {was}. Received: {is_now}"
        )


def _first_difference(saved, now, path=""):
    """Return two texts: where the values differ first, as saved and now."""
    if isinstance(saved, dict) and isinstance(now, dict):
        for key in [*saved, *now]:
            if saved.get(key) != now.get(key):
                return _first_difference(
                    saved.get(key), now.get(key), f"{path}.{key}" if path else key
                )
    label = f"{path}=" if path else ""
    return f"{label}{saved!r}"[:200], f"{label}{now!r}"[:200]


def _plain(config):
    """Return a config as JSON values, without names that tell no models apart."""

    def without_names(value):
        return {key: item for key, item in value.items() if key not in _NOT_COMPARED}

    return json.loads(json.dumps(config, default=str), object_hook=without_names)
