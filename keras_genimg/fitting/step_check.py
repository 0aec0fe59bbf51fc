"""Checks of the values and sizes that steps of training and evaluation receive."""

from typing import Any

import tensorflow as tf

from keras_genimg.inputs.images import (
    SAMPLE_WEIGHT,
    TARGETS,
    check_condition_shape,
    check_condition_values,
    check_shape,
    in_range,
    inputs_of,
    like,
    refuse_targets,
    wanted_shape,
    with_shape,
)
from keras_genimg.model_types import ImageModel


class StepCheck:
    """Check for bad inputs inside a step, for data of any source.

    XLA removes assertions from a step, Keras keeps only the outputs of the last of
    `steps_per_execution` steps, and replicas see different batches. A variable works in
    all three cases: each step writes a summary of its inputs to it, and the host reads
    it after each call. The step gets zeros instead of a bad batch, of the sizes that it
    should have, so that it ends and leaves no NaN in the weights.

    For a model of images of any size, a step may not know the size of its batch before
    it runs. It writes the size to another variable, and the host checks the graph for
    each new size after the step, before its loss is reported.

    Args:
        model: A `GenerativeModel`.
    """

    # Key of a step's logs that tells the host to read the variable. Reading it each
    # time would cost 0.1 ms, whereas logs reach the host anyway.
    key = "input_out_of_range"

    def __init__(self, model: ImageModel):
        self.model = model
        self.received: Any = None  # `after` makes this variable.
        # True if the host reads the variables after this step.
        self._is_read = False
        # The sizes that the running steps write, if the host reads them afterwards.
        self._sizes: Any = None
        self._checked_sizes: set[tuple[str, tuple[int, ...]]] = set()
        self._tensors = [*model.inputs, SAMPLE_WEIGHT, TARGETS]
        # A row for each input: whether it was bad; the smallest, the largest and the
        # first bad value of the batch, and their dtype; then the shape.
        self._row_size = 5 + max(len(tensor.shape) for tensor in self._tensors)

    def inputs(self, x, y, sample_weight, owner):
        """Return a step's inputs and weights, with zeros instead of a bad batch.

        Args:
            x: The inputs of the model, see `inputs_of`.
            y: Targets, which must be the images and come with weights, or None.
            sample_weight: Weights of the images, or None.
            owner: The call that received them, for error texts.

        Raises:
            ValueError: If `x` does not hold the inputs, or a known shape is wrong.
        """
        values = inputs_of(x, self.model)
        num_inputs = len(values)
        values += [value for value in (sample_weight, y) if value is not None]
        checked = []
        for tensor, value in zip(self._tensors, values, strict=False):
            images = checked[0] if checked else None
            checked.append(_Input(self.model, tensor, value, images, owner))
        values = [each.value for each in checked]
        size = values[0].shape[1:3]
        if self._sizes is not None and not size.is_fully_defined():
            self._note_size(tf.shape(values[0])[1:3])
        is_good = tf.reduce_all([each.is_good for each in checked])

        received = self.received
        if not self._is_read:
            # A custom training loop calls the step directly.
            check = tf.debugging.Assert(
                is_good,
                [
                    f"{owner} received values out of range, or targets that are not "
                    f"the images",
                    values[0],
                ],
            )
            with tf.control_dependencies([check]):
                values = [tf.identity(value) for value in values]
        else:

            def zeros():
                rows = [each.report(self._row_size) for each in checked]
                rows = tf.pad(rows, [(0, len(self._tensors) - len(rows)), (0, 0)])
                # The first bad batch stays until the host has read it.
                is_first = tf.reduce_all(received[:, 0] == 0)
                received.assign(tf.where(is_first, rows, received))
                return [tf.zeros_like(value) for value in values]

            values = tf.cond(is_good, lambda: values, zeros)
            # The sizes change only now, since XLA needs the same shapes from both
            # branches of a condition.
            values = [
                each.resized(value) for each, value in zip(checked, values, strict=True)
            ]
        weights = None if sample_weight is None else values[num_inputs]
        return like(x, values[:num_inputs], self.model), weights

    def _note_size(self, size):
        """Write the height and width of a batch, for the host."""
        # The host reads the variable after several steps, so each step has a row.
        self._sizes.assign(tf.concat([self._sizes[1:], size[None]], axis=0))

    def with_flag(self, logs):
        """Add a flag to the logs of a step: above 0 after a value was out of range.

        A number rather than a boolean, since Keras averages over replicas.
        """
        if not self._is_read:
            return logs
        return {**logs, self.key: tf.reduce_max(self.received[:, 0])}

    def after(self, function, owner, check_graph):
        """Return `function`, which runs steps, followed by the check on the host.

        Args:
            function: Result of `make_train_function` or `make_test_function`.
            owner: The call that received the inputs, for error texts.
            check_graph: Function of the shape of an image that raises if the model
                must not be used on such images.
        """
        model, strategy = self.model, self.model.distribute_strategy
        if self.received is None:
            self.received = self._variable(
                tf.zeros((len(self._tensors), self._row_size))
            )
        # Each function has its own variable. Training and evaluation are traced at
        # different times, and a traced function always writes to the same variable.
        sizes = None
        if None in model.image_shape:
            steps = model.steps_per_execution or 1
            sizes = self._variable(tf.zeros((steps, 2), tf.int32))
        replicas = strategy.experimental_local_results(self.received)

        def checked(iterator):
            self._is_read, self._sizes = True, sizes
            try:
                logs = function(iterator)
            finally:
                self._is_read, self._sizes = False, None
            if not isinstance(logs, dict):
                raise ValueError(
                    f"{owner} needs a step that returns a dict by name, such as "
                    f'{{"loss": loss}}. Received: {type(logs).__name__}'
                )
            flag = logs.pop(self.key, None)
            # The logs of a user's own `train_step` have no flag.
            if flag is None or flag.numpy() > 0:
                for received in replicas:
                    rows = received.numpy()
                    if rows[:, 0].any():
                        self._raise(rows, replicas, owner)
                if flag is not None:
                    # The next step would wait for the other worker forever.
                    raise ValueError(
                        f"{owner} stopped: another worker received values out of "
                        f"range. See that worker's error for the values"
                    )
            if sizes is not None:
                self._check_sizes(sizes, owner, check_graph)
            return logs

        return checked

    def _variable(self, value):
        """Return a variable of which each replica has its own value."""
        with self.model.distribute_strategy.scope():
            return tf.Variable(
                value,
                trainable=False,
                synchronization=tf.VariableSynchronization.ON_READ,
                aggregation=tf.VariableAggregation.NONE,
            )

    def _check_sizes(self, sizes, owner, check_graph):
        """Check the graph for the sizes that the last steps have written."""
        local = self.model.distribute_strategy.experimental_local_results
        colors = self.model.image_shape[2]
        for written in local(sizes):
            found = {tuple(row) for row in written.numpy().tolist()} - {(0, 0)}
            for size in found:
                # The model remembers its checks too, but asking it takes longer.
                if (owner, size) not in self._checked_sizes:
                    check_graph((*size, colors))
                    self._checked_sizes.add((owner, size))

    def forget_sizes(self):
        """Check each size again, since the graph may have changed."""
        self._checked_sizes.clear()

    def _raise(self, rows, replicas, owner):
        for received in replicas:
            received.assign(tf.zeros_like(received))
        shapes = [
            [int(size) for size in row[5:][: len(tensor.shape)]]
            for tensor, row in zip(self._tensors, rows, strict=True)
        ]
        images_shape = shapes[0]
        for tensor, row, shape in zip(self._tensors, rows, shapes, strict=True):
            if not row[0]:
                continue
            # The checks of arrays describe the fault, given these few values.
            values = row[1:4].astype(tf.as_dtype(int(row[4])).as_numpy_dtype)
            if tensor is TARGETS:
                received = f"y of shape {tuple(shape)}"
                if shape == images_shape:
                    received += f", with {values[2]} where an image has another pixel"
                refuse_targets(self.model, owner, received, weighed=True)
            if tensor is self._tensors[0]:
                check_shape(shape, self.model, owner)
                self.model.likelihood.check_images(values, owner)
            else:
                check_condition_shape(self.model, tensor, shape, images_shape)
                check_condition_values(self.model, tensor, values)
            raise ValueError(
                f"{owner} received values of the input '{tensor.name}' that are out of "
                f"range, among them {values[2]}. Received: values from {values[0]} to "
                f"{values[1]}, dtype {values.dtype}"
            )


class _Input:
    """An input of a step, and what is wrong with it.

    Args:
        model: A `GenerativeModel`.
        tensor: The input of the model, `SAMPLE_WEIGHT` or `TARGETS`.
        value: What the step received.
        images: The `_Input` of the images; None if this is it.
        owner: The call that received it, for error texts.
    """

    def __init__(self, model: ImageModel, tensor, value, images, owner):
        value = tf.convert_to_tensor(value)
        if value.shape.rank is None:
            # The step was traced for several ranks, so the rank is not known here.
            # `train_on_batch` has checked that of this batch.
            value = tf.ensure_shape(value, (None,) * len(tensor.shape))
        if images is None:
            check_shape(value.shape, model, owner)
            self._in_range = model.likelihood.in_range
        elif tensor is TARGETS:
            _check_static_targets(model, value, images.value, owner)
            self._in_range = lambda value: _is_same(value, images.value)
        else:
            value = with_shape(model, tensor, value, images.value.shape)
            self._in_range = lambda value: in_range(model, tensor, value)
        # Unknown sizes are scalar tensors.
        self.sizes = [
            tf.shape(value)[axis] if size is None else size
            for axis, size in enumerate(value.shape)
        ]
        self._wanted = wanted_shape(tensor, self.sizes, (images or self).sizes)
        # Each entry is true if an unknown size is right.
        self._fits = [
            size == want
            for size, want in zip(self.sizes, self._wanted, strict=True)
            if size is not want and (tf.is_tensor(size) or tf.is_tensor(want))
        ]
        # Targets of another size cannot be compared with the images.
        self.value = self.resized(value) if tensor is TARGETS else value
        if images is None:
            is_good = model.likelihood.all_in_range(value)
        else:
            is_good = tf.reduce_all(self._in_range(self.value))
        for fits in self._fits:
            is_good &= fits
        self.is_good = is_good

    def report(self, row_size):
        """Return a row of `StepCheck.received`."""
        mask = tf.reshape(self._in_range(self.value), (-1,))
        flat = tf.reshape(tf.cast(self.value, tf.float32), (-1,))
        # GPUs have no kernel of `argmin` for integers. With an index instead of
        # `gather`, XLA would compile the step again for each batch.
        first = tf.gather(flat, tf.argmin(tf.cast(mask, tf.float32)))
        values = [tf.reduce_min(flat), tf.reduce_max(flat), first]
        row = [~self.is_good, *values, self.value.dtype.as_datatype_enum, *self.sizes]
        row = [tf.cast(number, tf.float32) for number in row]
        return tf.pad(row, [(0, row_size - len(row))])

    def resized(self, value):
        """Return `value` cut, or padded with 0, to the size that it should have."""
        if not self._fits:
            return value
        kept = tf.minimum(tf.shape(value), self._wanted)
        cut = tf.slice(value, tf.zeros_like(kept), kept)
        margins = tf.stack([tf.zeros_like(kept), self._wanted - kept], axis=1)
        sizes = [None if tf.is_tensor(size) else size for size in self._wanted]
        return tf.ensure_shape(tf.pad(cut, margins), sizes)


def _check_static_targets(model: ImageModel, y, images, owner):
    """Raise if targets cannot be images, by what is known before a step runs."""
    is_number = y.dtype.is_floating or y.dtype.is_integer or y.dtype.is_bool
    if not is_number or not y.shape.is_compatible_with(images.shape):
        received = f"y of shape {y.shape} and dtype {y.dtype.name}"
        refuse_targets(model, owner, received, weighed=True)


def _is_same(y, images):
    """Return where targets are the images, in float32, which models compute with."""
    return tf.equal(tf.cast(y, tf.float32), tf.cast(images, tf.float32))
