"""Steps of training and evaluation on images alone."""

from typing import Any

import keras
import tensorflow as tf

from keras_genimg.fitting.distribution import (
    Replica,
    ReplicaStep,
    as_vectors,
    sum_gradients_first,
)
from keras_genimg.fitting.freeable_model import FreeableModel
from keras_genimg.fitting.iterator_keeper import IteratorKeeper
from keras_genimg.fitting.step_check import StepCheck
from keras_genimg.inputs.images import images_of
from keras_genimg.types import SymbolicTensor


class StepModel(FreeableModel):
    """A functional Keras model whose steps take images alone.

    A step checks its images, weighs the loss of each replica by its part of the batch,
    and can be skipped when training goes on after a stop. Subclasses set `likelihood`,
    which knows the values that a pixel may have.

    Args:
        inputs: `keras.Input` of images, or a list of it and the conditions.
        outputs: Parameters of the likelihood.
        **kwargs: `name` and `trainable`, as in `keras.Model`.
    """

    # Whether all of the loss is per image, so that `sample_weight` weighs it.
    _weighs_images = True

    def __init__(self, inputs: SymbolicTensor, outputs: SymbolicTensor, **kwargs: Any):
        super().__init__(inputs=inputs, outputs=outputs, **kwargs)
        self._step_check = StepCheck(self)
        self._iterators = IteratorKeeper()
        self._batches_to_skip = 0
        self._reads_skipped = False
        self._replica = Replica()

    def _epoch_variables(self):
        """Return what a running epoch has summed up; a hook for subclasses."""
        return self.metrics_variables

    def _targets_of(self, x, y_pred):
        """Return the target images of the outputs `y_pred` for the inputs `x`."""
        return images_of(x, self)

    def _refuse_targets(self, y, owner):
        if y is not None:
            raise ValueError(
                f"{owner} takes no targets, since the images are the targets. Pass "
                f"conditions such as labels with the images, as one dict of the "
                f"inputs {[tensor.name for tensor in self.inputs]}. Received: y of "
                f"type {type(y).__name__}"
            )

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        targets = self._targets_of(x, y_pred)
        loss = super().compute_loss(x, targets, y_pred, sample_weight, training)
        step = self._replica.step
        return loss if step is None else step.weighed(loss)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        y = self._targets_of(x, y_pred)
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def get_metrics_result(self) -> dict[str, Any]:
        # A `train_step` of one's own may leave out the metrics of `compile`.
        metrics = self._compile_metrics
        if metrics is not None and not metrics.built:
            return {}
        return super().get_metrics_result()

    def _run_through_graph(self, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        # Only `clone_model` passes a function to a model that is built.
        if self.built and "call_fn" in kwargs:
            raise ValueError(
                f"keras.models.clone_model would return a plain keras.Model, without "
                f"the loss and the methods of {self.name}. Use {type(self).__name__}."
                f"from_config(model.get_config()); or clone keras.Model(model.inputs, "
                f"model.outputs), for the network alone. Received: model of type "
                f"{type(self).__name__}"
            )
        return super()._run_through_graph(inputs, *args, **kwargs)

    def train_step(self, data: Any) -> dict[str, Any]:
        return self._step(super().train_step, data, "Training")

    def test_step(self, data: Any) -> dict[str, Any]:
        return self._step(super().test_step, data, "Evaluation")

    def _step(self, step, data, what):
        # Where a data set of unknown length ends, a graph would run all that does not
        # need a batch: it would count a step, and Adam would move the weights.
        with tf.control_dependencies(
            [part for part in tf.nest.flatten(data) if part is not None]
        ):
            logs = self._step_on_data(step, data, what)
        return as_vectors(self._step_check.with_flag(logs), self.distribute_strategy)

    def _step_on_data(self, step, data, what):
        if self.distribute_strategy.num_replicas_in_sync == 1:
            return step(self._checked_step(data, what))
        here = self._replica.step = ReplicaStep(data, self._epoch_variables())
        try:
            with here.whole_batch():
                step(self._checked_step(here.data, what))
            here.count_examples()
        finally:
            self._replica.step = None
        return self.get_metrics_result()

    def _checked_step(self, data, what):
        owner = f"{what} of {self.name}"
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        # Keras drops weights that come without targets, so `fit` adds targets to them.
        if sample_weight is None:
            self._refuse_targets(y, owner)
        elif not self._weighs_images:
            raise ValueError(
                f"{owner} takes no `sample_weight`, since it would not weigh the whole "
                f"loss of an image. Leave it out, or repeat images in the data. "
                f"Received: sample_weight of shape {tuple(sample_weight.shape)}"
            )
        x, sample_weight = self._step_check.inputs(x, sample_weight, owner)
        # Not Keras' own packing, which drops such weights too.
        return x, y, sample_weight

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        """Build with a replica's part of the first batch.

        Keras averages the parts of all replicas, which fails if they differ in size or
        are in several processes (keras-team/keras#20585).
        """
        if iterator is not None:  # Keras calls this before it reads from it.
            self._iterators.keep(iterator)
        if self._distribute_strategy is None:
            return
        if iterator is not None:
            local = self._distribute_strategy.experimental_local_results
            _, _, batches = next(iter(iterator))
            data_batch = tf.nest.map_structure(lambda x: local(x)[0], next(batches))
        super()._maybe_symbolic_build(data_batch=data_batch)

    def make_train_function(self, force: bool = False) -> None:
        if self.train_function is not None and not force:
            return
        # Left to the first step, the optimizer's variables would be made in the midst
        # of tracing, and TensorFlow would trace the step a second time.
        if not self.optimizer.built:
            with self.distribute_strategy.scope():
                self.optimizer.build(self.trainable_variables)
        if self.distribute_strategy.num_replicas_in_sync > 1:
            sum_gradients_first(self.optimizer)
        super().make_train_function(force)
        step = self._step_check.after(self.train_function, f"Training of {self.name}")

        def step_unless_skipped(iterator):
            if self._batches_to_skip <= 0:
                return step(iterator)
            self._batches_to_skip -= self.steps_per_execution
            if self._reads_skipped:
                for _ in range(self.steps_per_execution):
                    next(iterator)
            return self.get_metrics_result()

        self.train_function = step_unless_skipped

    def make_test_function(self, force: bool = False) -> None:
        if self.test_function is not None and not force:
            return
        super().make_test_function(force)
        self.test_function = self._step_check.after(
            self.test_function, f"Evaluation of {self.name}"
        )

    def _skip_batches(self, count, consume):
        """Leave out the first steps of `fit`, which were trained before.

        Args:
            count: Number of batches.
            consume: Whether to read the batches.
        """
        self._batches_to_skip = count
        self._reads_skipped = consume
