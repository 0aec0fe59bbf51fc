"""Keras models that know the distribution of their images."""

import contextlib
import inspect
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import likelihoods
from keras_genimg.fitting.array_epochs import are_arrays
from keras_genimg.fitting.constructor_arguments import check_constructor_arguments
from keras_genimg.fitting.distribution import (
    check_compile,
    check_scope,
    check_strategy,
)
from keras_genimg.fitting.epoch_starts import without_pauses
from keras_genimg.fitting.restart_check import check_restart
from keras_genimg.fitting.step_model import StepModel
from keras_genimg.fitting.worker_data import for_workers
from keras_genimg.inputs.conditions import (
    SAMPLE_WEIGHT,
    check_condition_shape,
    check_condition_values,
    with_rank,
)
from keras_genimg.inputs.images import (
    check_shape,
    checked_inputs,
    images_of,
    inputs_by_name,
)
from keras_genimg.losses import NegativeLogLikelihood
from keras_genimg.ops.workers import is_chief
from keras_genimg.types import (
    AxisSize,
    Config,
    PathLike,
    Policy,
    Shape,
    SymbolicTensor,
)


class LikelihoodModel(StepModel):
    """A functional Keras model that trains on images alone: they are its targets.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions. In a dict,
            the images are the input named `"images"`, or else the first.
        outputs: Parameters of the likelihood, float32.
        likelihood: Name or object, see `keras_genimg.likelihoods.get`.
        dtype: Dtype policy that the model reports; its layers have their own.
        targets_shape: Shape of what the outputs are parameters of, if not of the
            images, see `_targets_of`.
        **kwargs: `name` and `trainable`, as in `keras.Model`.

    Attributes:
        likelihood: The distribution of pixels.

    Raises:
        ValueError: If the outputs do not fit the images and the likelihood, or an
            argument is unknown.
    """

    def __init__(
        self,
        inputs: SymbolicTensor,
        outputs: SymbolicTensor,
        likelihood: str | Config | likelihoods.Likelihood,
        dtype: Policy | None = None,
        targets_shape: Shape | None = None,
        **kwargs: Any,
    ):
        check_constructor_arguments(type(self), kwargs)
        check_strategy(type(self).__name__)
        likelihood = likelihoods.get(likelihood)
        if isinstance(inputs, dict):  # Keras would sort it by name.
            inputs = sorted(inputs.values(), key=lambda tensor: tensor.name != "images")
        images = tf.nest.flatten(inputs)[0]
        expected = tuple(images.shape)
        are_images = len(expected) == 4
        if are_images:
            shape = targets_shape or expected[1:]
            expected = (expected[0], *likelihood.params_shape(shape))
        if not are_images or tuple(outputs.shape) != expected:
            raise ValueError(
                f"A graph with images of shape {tuple(images.shape)} and the "
                f"likelihood {likelihood} must end in parameters of shape {expected}, "
                f"where images are (batch, height, width, colors). Received: outputs "
                f"of shape {tuple(outputs.shape)}"
            )
        if outputs.dtype != "float32":
            raise ValueError(
                f"Parameters of a likelihood must be float32, also in mixed precision: "
                f'give the last layer dtype="float32". Received: outputs of dtype '
                f"{outputs.dtype}"
            )
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        if dtype is not None:  # Which functional models do not take.
            self.dtype_policy = keras.dtype_policies.get(dtype)
        self.likelihood: likelihoods.Likelihood = likelihood
        self._is_fitting = False

    def call(self, inputs, training=None, mask=None):
        return super().call(tf.nest.map_structure(_any_batch, inputs), training, mask)

    @property
    def image_shape(self) -> tuple[AxisSize, AxisSize, int]:
        """`(height, width, colors)` of the images; None where any size will do."""
        return tuple(self.inputs[0].shape[1:])

    def _base_config(self):
        """Return the constructor's arguments that all models share, for a config."""
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
        }

    def _own_metrics(self):
        """Return the metrics that every training reports; a hook for subclasses."""
        return []

    def _own_loss(self):
        """Return the loss of the images; a hook for subclasses."""
        return NegativeLogLikelihood(self.likelihood)

    def _check_together(self, images, conditions, owner):
        """Raise if images and conditions do not fit each other; a hook for subclasses.

        Args:
            images: Array of images.
            conditions: List of arrays, the other inputs.
            owner: The call that received them, for the error text.
        """

    def _check_before_fit(self, x):
        """Raise if the model cannot be trained; a hook for subclasses.

        Args:
            x: What `fit` was given, checked.
        """

    def compile(
        self,
        optimizer: str | keras.optimizers.Optimizer = "rmsprop",
        loss: None = None,
        metrics: list[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Configure training; the model knows its loss.

        Args:
            optimizer: Name or `keras.optimizers.Optimizer`.
            loss: Must be left out.
            metrics: List of metrics besides the model's own.
            **kwargs: The other arguments of `keras.Model.compile`, such as
                `jit_compile`.

        Raises:
            ValueError: If a loss is given, if the model or its optimizer was made in
                another scope, or if replicas cannot train with an argument.
        """
        if loss is not None:
            raise ValueError(
                f"{self.name} is trained on its own negative log-likelihood, so leave "
                f"`loss` out of compile. Received: loss={loss!r}"
            )
        check_compile(self, optimizer, kwargs)
        super().compile(
            optimizer,
            loss=self._own_loss(),
            metrics=[*self._own_metrics(), *(metrics or [])],
            **kwargs,
        )

    def get_compile_config(self) -> Config | None:
        config = super().get_compile_config()
        if not config:
            return config
        config["loss"] = None
        config["metrics"] = config["metrics"][len(self._own_metrics()) :]
        return config

    def compile_from_config(self, config: Config) -> None:
        self.compile(**keras.saving.deserialize_keras_object(config))
        if getattr(self, "optimizer", None) is not None:
            self.optimizer.build(self.trainable_variables)

    def fit(
        self, x: Any = None, y: None = None, *args: Any, **kwargs: Any
    ) -> keras.callbacks.History:
        """Train as `keras.Model.fit` does, on images alone.

        Args:
            x: Images in the likelihood's own range, as an array, a `tf.data.Dataset`,
                a PyTorch `DataLoader` or anything else that Keras reads. A model with
                conditions takes a list or a dict of all its inputs.
            y: Must be left out: the images are the targets.
            *args: The next arguments of `keras.Model.fit`.
            **kwargs: The other arguments of `keras.Model.fit`, such as `epochs`. Like
                `x`, `validation_data` is images alone or a data set of them.

        Returns:
            A `keras.callbacks.History`.

        Raises:
            ValueError: If there are no images, or their shape, a pixel, a condition or
                a weight does not fit. Arrays are checked at once, other sources batch
                by batch. Also if the model was made in another scope, if workers have
                different global seeds, or if `keras.callbacks.BackupAndRestore` is used
                by several workers or together with `keras_genimg.callbacks.Resume`.
                Where that callback would not go on exactly, there is a warning.
        """
        check_scope(self, "fit")
        given = _arguments(keras.Model.fit, self, x, y, *args, **kwargs)
        x = self._checked(given.pop("x"), given.pop("y"), "fit")
        self._check_before_fit(x)
        if isinstance(x, tf.data.Dataset) or hasattr(x, "__next__"):
            given.setdefault("shuffle", False)  # Keras warns of its own default.
        validation_data = given.get("validation_data")
        if validation_data is not None:
            validation_data = self._checked(validation_data, None, "validation_data")
            if not isinstance(validation_data, tf.data.Dataset):
                validation_data = (validation_data,)  # Keras unpacks a tuple.
            given["validation_data"] = validation_data
        given["y"] = self._weighted_targets(x, given, "fit")
        callbacks = _as_list(given.get("callbacks"))
        check_restart(self, x, given, callbacks)
        self._is_fitting = True
        with contextlib.ExitStack() as stack:
            stack.callback(self._end_fit)
            stack.enter_context(self._iterators.freed_at_the_end())
            for callback in callbacks:
                if hasattr(callback, "arranged"):  # See `callbacks.Resume`.
                    x, given = stack.enter_context(callback.arranged(self, x, given))
            x, given = for_workers(x, given, self.distribute_strategy)
            num_replicas = self.distribute_strategy.num_replicas_in_sync
            x, given = without_pauses(x, given, num_replicas)
            return super().fit(x, **given)

    def _end_fit(self):
        self._is_fitting = False
        self._batches_to_skip = 0
        # Left there by `BackupAndRestore`, it would be where the next `fit` begins.
        self._initial_epoch = None

    def train_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        check_scope(self, "train_on_batch")
        given = _arguments(keras.Model.train_on_batch, self, x, *args, **kwargs)
        self._check_batch(given, "train_on_batch")
        return super().train_on_batch(**given)

    def test_on_batch(self, x: Any, *args: Any, **kwargs: Any) -> Any:
        given = _arguments(keras.Model.test_on_batch, self, x, *args, **kwargs)
        self._check_batch(given, "test_on_batch")
        return super().test_on_batch(**given)

    def _check_batch(self, given, method):
        """Raise unless the shapes of a batch fit; the step checks its values.

        A step that was traced for several shapes does not know the rank.
        """
        self._refuse_class_weight(given, method)
        images, *conditions = inputs_by_name(given["x"], self).values()
        shape = np.shape(images)
        check_shape(shape, self, f"{self.name}.{method}")
        if given.get("sample_weight") is not None:
            conditions.append(given["sample_weight"])
        for values, tensor in zip(
            conditions, (*self.inputs[1:], SAMPLE_WEIGHT), strict=False
        ):
            values = with_rank(np.asarray(values), tensor)
            check_condition_shape(self, tensor, values.shape, shape)

    def evaluate(self, x: Any = None, y: None = None, *args: Any, **kwargs: Any) -> Any:
        """Evaluate as `keras.Model.evaluate` does, on images alone.

        Args:
            x: Images in the likelihood's own range, as an array, a `tf.data.Dataset`,
                a PyTorch `DataLoader` or anything else that Keras reads. A model with
                conditions takes a list or a dict of all its inputs.
            y: Must be left out.
            *args: The next arguments of `keras.Model.evaluate`.
            **kwargs: The other arguments of `keras.Model.evaluate`, such as
                `batch_size`.

        Returns:
            The loss and the metrics, in a list or, with `return_dict=True`, a dict.

        Raises:
            ValueError: If there are no images, or their shape, a pixel, a condition or
                a weight does not fit. Arrays are checked at once, other sources batch
                by batch.
        """
        # `fit` evaluates through this method too, on what it has checked already. It
        # passes its own callbacks, which tells it from a call by one of them.
        callbacks = kwargs.get("callbacks")
        if self._is_fitting and isinstance(callbacks, keras.callbacks.CallbackList):
            return super().evaluate(x, y, *args, **kwargs)
        given = _arguments(keras.Model.evaluate, self, x, y, *args, **kwargs)
        x = given["x"] = self._checked(given["x"], given["y"], "evaluate")
        given["y"] = self._weighted_targets(x, given, "evaluate")
        with self._iterators.freed_at_the_end():
            return super().evaluate(**given)

    def _weighted_targets(self, x, given, method):
        """Return what Keras must have as targets, without which it drops weights."""
        self._refuse_class_weight(given, method)
        weights = given.get("sample_weight")
        if weights is None or not are_arrays(x):  # Keras refuses the latter.
            return None
        weights, images = np.asarray(weights), images_of(x, self)
        weights = with_rank(weights, SAMPLE_WEIGHT)
        check_condition_shape(self, SAMPLE_WEIGHT, weights.shape, images.shape)
        check_condition_values(self, SAMPLE_WEIGHT, weights)
        return images

    def _refuse_class_weight(self, given, method):
        if given.get("class_weight") is not None:
            raise ValueError(
                f"{self.name}.{method} takes no `class_weight`, since the targets are "
                f"images, which have no classes. Leave it out, or repeat images in the "
                f"data. Received: class_weight={given['class_weight']!r}"
            )

    def save(self, filepath: PathLike, *args: Any, **kwargs: Any) -> None:
        """Write a `.keras` file as `keras.Model.save` does.

        Of several workers only the first one writes. The others return at once.

        Args:
            filepath: Path of the file.
            *args: The next arguments of `keras.Model.save`.
            **kwargs: The other arguments of `keras.Model.save`.
        """
        if is_chief(self.distribute_strategy):
            super().save(filepath, *args, **kwargs)

    def save_weights(self, filepath: PathLike, *args: Any, **kwargs: Any) -> None:
        """Write a `.weights.h5` file as `keras.Model.save_weights` does.

        Of several workers only the first one writes. The others return at once.

        Args:
            filepath: Path of the file.
            *args: The next arguments of `keras.Model.save_weights`.
            **kwargs: The other arguments of `keras.Model.save_weights`.
        """
        if is_chief(self.distribute_strategy):
            super().save_weights(filepath, *args, **kwargs)

    def _checked(self, x, y, method):
        owner = f"{self.name}.{method}" if method != "validation_data" else method
        self._refuse_targets(y, owner)
        return checked_inputs(x, self, owner, in_steps=True)


def _any_batch(tensor):
    """Return a tensor of a graph with an unknown number of examples.

    `keras.ops.add` takes `(batch, 1, 1, 1)` for the bias of a map that has as many rows
    or channels as there are known to be examples (Keras 3.15.1).
    """
    if not tf.is_tensor(tensor) or tf.executing_eagerly() or not tensor.shape.rank:
        return tensor
    if tensor.shape[0] is None:
        return tensor
    shape = (None, *tensor.shape[1:])
    return tf.raw_ops.PlaceholderWithDefault(input=tensor, shape=shape)


def _arguments(method, *args, **kwargs):
    """Return the arguments of a method of `keras.Model` by name, without `self`."""
    bound = inspect.signature(method).bind(*args, **kwargs).arguments
    del bound["self"]
    others = bound.pop("kwargs", {})  # Keras says which of them it does not know.
    return {**bound, **others}


def _as_list(callbacks):
    """Return the callbacks that `fit` received as a list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return tf.nest.flatten(callbacks or [])
