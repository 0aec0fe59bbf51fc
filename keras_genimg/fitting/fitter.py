"""Support for `fit`, `evaluate` and their steps beyond Keras."""

import contextlib
import inspect
import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.fitting.data import (
    are_arrays,
    for_workers,
    with_images_as_targets,
    without_pauses,
)
from keras_genimg.fitting.distribution import ReplicaStep, check_scope
from keras_genimg.fitting.step_check import StepCheck
from keras_genimg.fitting.workarounds import (
    IteratorKeeper,
    as_vectors,
    sum_gradients_first,
)
from keras_genimg.inputs.images import (
    SAMPLE_WEIGHT,
    check_shape,
    check_targets,
    check_use_of_targets,
    checked_condition,
    checked_inputs,
    images_of,
    inputs_of,
    known_image_shape,
    like,
    unpacked,
    with_shape,
)
from keras_genimg.keras_private import (
    forget_initial_epoch,
    is_evaluation_in_fit,
    is_multi_worker,
    metrics_given,
    metrics_of_compile,
)
from keras_genimg.model_types import ImageModel


class ArrangingCallback(keras.callbacks.Callback):
    """Callback that arranges the data of `fit`, before Keras makes an iterator."""

    def arranged(
        self, model: ImageModel, x: Any, arguments: dict[str, Any]
    ) -> contextlib.AbstractContextManager[tuple[Any, dict[str, Any]]]:
        """Return a context that yields training data, and restores a model at its end.

        Args:
            model: The compiled model.
            x: Training data, checked.
            arguments: The other arguments of `keras.Model.fit`.

        Yields:
            Training data and arguments for `keras.Model.fit`.
        """
        raise NotImplementedError


class Fitter:
    """Training and evaluation of a model on images alone, which are its targets.

    Inputs are validated before Keras sees them: arrays once, up front; data sets and
    generators batch by batch. A step weighs the loss of a replica by its part of the
    batch.

    Args:
        model: A `GenerativeModel`.
    """

    def __init__(self, model: ImageModel):
        self._model = model
        self._check = StepCheck(model)
        self.iterators = IteratorKeeper()
        # It holds the `ReplicaStep` that runs. Each replica runs in a thread.
        self._replica = threading.local()

    def fit(self, keras_fit, *args, **kwargs):
        """Call `keras.Model.fit` of the model with checked data."""
        model, strategy = self._model, self._model.distribute_strategy
        check_scope(model, "fit")
        given = self._checked(_by_name(keras_fit, *args, **kwargs), "fit")
        x = given.pop("x")
        self._check.forget_sizes()
        self._check_graph(known_image_shape(x, model), training=True)
        if isinstance(x, tf.data.Dataset) or hasattr(x, "__next__"):
            given.setdefault("shuffle", False)  # Keras warns of its own default.
        if (validation := given.get("validation_data")) is not None:
            given["validation_data"] = self._checked_data(
                *unpacked(validation, model), "validation_data"
            )
        callbacks = _as_list(given.get("callbacks"))
        self._check_restart(callbacks)
        with contextlib.ExitStack() as stack:
            # `BackupAndRestore` sets this attribute and does not clear it. The next
            # `fit` would start at that epoch.
            stack.callback(forget_initial_epoch, model)
            stack.enter_context(self.iterators.freed_at_the_end())
            for callback in callbacks:
                if isinstance(callback, ArrangingCallback):
                    x, given = stack.enter_context(callback.arranged(model, x, given))
            x, given = for_workers(x, given, strategy)
            x, given = without_pauses(x, given, strategy.num_replicas_in_sync)
            return keras_fit(x, **given)

    def _check_restart(self, callbacks):
        name, backup = self._model.name, keras.callbacks.BackupAndRestore
        if not any(isinstance(each, backup) for each in callbacks):
            return
        if any(isinstance(each, ArrangingCallback) for each in callbacks):
            raise ValueError(
                f"{name}.fit received both Resume and BackupAndRestore. The second "
                f"would load its own weights over those that the first restored, and "
                f"begin in its own epoch. Leave out BackupAndRestore."
            )
        if is_multi_worker(self._model.distribute_strategy):
            raise ValueError(
                f"{name}.fit received BackupAndRestore, which does not work with "
                f"several workers: each would write and restore by itself. Use "
                f"keras_genimg.callbacks.Resume, which all workers share."
            )

    def evaluate(self, keras_evaluate, *args, **kwargs):
        """Call `keras.Model.evaluate` of the model with checked data."""
        # `fit` evaluates through this method too, on what it has checked already.
        if is_evaluation_in_fit(kwargs):
            return keras_evaluate(*args, **kwargs)
        given = self._checked(_by_name(keras_evaluate, *args, **kwargs), "evaluate")
        self._check.forget_sizes()
        self._check_graph(known_image_shape(given["x"], self._model))
        with self.iterators.freed_at_the_end():
            return keras_evaluate(**given)

    def on_batch(self, keras_method, *args, **kwargs):
        """Call `train_on_batch` or `test_on_batch`, after a check of the shapes.

        The step checks the values. It may have been traced for several shapes, and does
        not know the rank then.
        """
        model, method = self._model, keras_method.__name__
        if method == "train_on_batch":
            check_scope(model, method)
        given = _by_name(keras_method, *args, **kwargs)
        self._refuse_class_weight(given, method)
        images, *conditions = inputs_of(given.get("x"), model)
        shape = np.shape(images)
        check_shape(shape, model, f"{model.name}.{method}")
        self._check_graph(shape[1:], training=method == "train_on_batch")
        conditions = [
            with_shape(model, tensor, np.asarray(values), shape)
            for tensor, values in zip(model.inputs[1:], conditions, strict=True)
        ]
        given["x"] = like(given["x"], [images, *conditions], model)
        y, weights = given.get("y"), given.get("sample_weight")
        check_use_of_targets(model, y, weights, f"{model.name}.{method}")
        if y is not None:
            check_targets(model, y, images, f"{model.name}.{method}")
            given["y"] = None
        if weights is not None:
            weights = with_shape(model, SAMPLE_WEIGHT, np.asarray(weights), shape)
            given["sample_weight"] = weights
        return keras_method(**given)

    def _checked(self, given, method):
        """Return the arguments of `fit` or `evaluate` with checked data."""
        self._refuse_class_weight(given, method)
        names = "x", "y", "sample_weight"
        data = map(given.get, names)
        checked = self._checked_data(*data, f"{self._model.name}.{method}")
        return {**given, **dict(zip(names, checked, strict=True))}

    def _checked_data(self, x, y, weights, owner):
        """Return checked inputs, targets and weights, for Keras.

        With weights of arrays, targets are the images, since Keras drops weights
        without targets.

        Args:
            x: Inputs or a data source, see `checked_inputs`.
            y: The images, which may come with weights; or None.
            weights: Weights of the images, or None.
            owner: The call that received them, for error texts.
        """
        model = self._model
        check_use_of_targets(model, y, weights, owner)
        x = checked_inputs(x, model, owner, in_steps=True)
        x = with_images_as_targets(x, model, owner)
        # Keras refuses `sample_weight` for other sources.
        if weights is not None and are_arrays(x):
            images = images_of(x, model)
            if y is not None:
                check_targets(model, y, images, owner)
            weights = checked_condition(model, SAMPLE_WEIGHT, weights, images.shape)
            y = images
        return x, y, weights

    def _check_graph(self, image_shape, training=False):
        """Check the model's graph for images of a size, once; if the size is known.

        A step checks the size of its batch too, see `StepCheck` for one that only the
        step knows.
        """
        image_shape = tuple(image_shape)
        if None not in image_shape:
            self._model.check_graph(image_shape, training)

    def _refuse_class_weight(self, given, method):
        if given.get("class_weight") is not None:
            raise ValueError(
                f"{self._model.name}.{method} takes no `class_weight`, since the "
                f"targets are images, which have no classes. Leave it out, or repeat "
                f"images in the data. Received: "
                f"class_weight={given['class_weight']!r}"
            )

    # Steps.

    def step(self, keras_step, data, what):
        """Run a step of training or evaluation, for a graph.

        Args:
            keras_step: `train_step` or `test_step` of `keras.Model`.
            data: What the step received.
            what: `"Training"` or `"Evaluation"`, for error texts.
        """
        # At the end of a data set of unknown length, a graph would run all that does
        # not need a batch: it would count a step, and Adam would move the weights.
        with tf.control_dependencies(
            [part for part in tf.nest.flatten(data) if part is not None]
        ):
            logs = self._step_on_replica(keras_step, data, what)
        strategy = self._model.distribute_strategy
        return as_vectors(self._check.with_flag(logs), strategy)

    def _step_on_replica(self, keras_step, data, what):
        model = self._model
        if model.distribute_strategy.num_replicas_in_sync == 1:
            return keras_step(self._checked_batch(data, what))
        variables, compiled = [*model.epoch_variables()], metrics_of_compile(model)
        if compiled is not None and not compiled.built:
            # Keras lists these from the first step on, unless `fit` built them before.
            for metric in metrics_given(model):
                variables += getattr(metric, "variables", ())
        here = self._replica.step = ReplicaStep(data, variables)
        try:
            with here.whole_batch():
                keras_step(self._checked_batch(here.data, what))
            here.count_examples()
        finally:
            self._replica.step = None
        return model.get_metrics_result()

    def _checked_batch(self, data, what):
        owner = f"{what} of {self._model.name}"
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        check_use_of_targets(self._model, y, sample_weight, owner)
        x, sample_weight = self._check.inputs(x, y, sample_weight, owner)
        shape = images_of(x, self._model).shape[1:]
        self._check_graph(shape, training=what == "Training")
        # Keras' own packing would drop weights without targets.
        return x, None, sample_weight

    def weighed(self, loss):
        """Return the loss of a step, weighed by the replica's part of the batch."""
        step = getattr(self._replica, "step", None)
        return loss if step is None else step.weighed(loss)

    def prepare_optimizer(self):
        """Build the optimizer, and let it sum gradients before all else.

        Left to the first step, its variables would be made in the midst of tracing, and
        TensorFlow would trace the step a second time.
        """
        optimizer, strategy = self._model.optimizer, self._model.distribute_strategy
        if not optimizer.built:
            with strategy.scope():
                optimizer.build(self._model.trainable_variables)
        if strategy.num_replicas_in_sync > 1:
            sum_gradients_first(optimizer)

    def checked(self, function, what):
        """Return the compiled steps `function`, followed by a check of what they read.

        Args:
            function: Result of `make_train_function` or `make_test_function`.
            what: `"Training"` or `"Evaluation"`, for error texts.
        """

        def check_graph(image_shape):
            self._check_graph(image_shape, training=what == "Training")

        owner = f"{what} of {self._model.name}"
        return self._check.after(function, owner, check_graph)


def _by_name(method, *args, **kwargs):
    """Return the arguments of a bound method of `keras.Model` by name."""
    bound = inspect.signature(method).bind(*args, **kwargs).arguments
    others = bound.pop("kwargs", {})  # Keras says which of them it does not know.
    return {**bound, **others}


def _as_list(callbacks):
    """Return the callbacks that `fit` received as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return tf.nest.flatten(callbacks or [])
