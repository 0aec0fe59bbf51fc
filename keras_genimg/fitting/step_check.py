"""Check of the images and conditions in the steps of training and evaluation."""

import numpy as np
import tensorflow as tf

from keras_genimg.inputs.conditions import (
    SAMPLE_WEIGHT,
    check_condition_shape,
    check_condition_values,
    in_range,
    wanted_shape,
    with_rank,
)
from keras_genimg.inputs.images import check_shape, inputs_by_name, like


class StepCheck:
    """Check for bad inputs inside a step, for data of any source.

    XLA removes assertions from a step, Keras keeps only the outputs of the last of
    `steps_per_execution` steps, and replicas see different batches. A variable works in
    all three cases: each step writes a summary of its inputs to it, and the host reads
    it after each call. The step replaces values out of range by 0, and cuts or pads
    inputs of another size, so that it ends and leaves no NaN in the weights.

    Args:
        model: A `GenerativeModel`.
    """

    # Key of a step's logs that tells the host to read the variable. Reading it each
    # time would cost 0.1 ms, whereas logs reach the host anyway.
    key = "input_out_of_range"

    def __init__(self, model):
        self.model = model
        self.received = None
        self._tensors = [*model.inputs, SAMPLE_WEIGHT]
        # A row for each input: 0 if it was good. After a value out of range: 1, the
        # smallest, the largest and the first such value of the batch, and their dtype.
        # After another size: 2, the shape received and the shape expected.
        self._row_size = max(5, 1 + 2 * max(len(t.shape) for t in self._tensors))

    def inputs(self, x, sample_weight, owner):
        """Return a step's inputs and weights, with 0 in place of bad values.

        Args:
            x: The inputs of the model, see `images_of`.
            sample_weight: Weights of the images, or None.
            owner: The call that received them, for error texts.

        Raises:
            ValueError: If `x` does not hold the inputs, or a known shape is wrong.
        """
        inputs = inputs_by_name(x, self.model)
        values = [*inputs.values()]
        if sample_weight is not None:
            values.append(sample_weight)
        tensors = self._tensors[: len(values)]
        values = [_tensor(*pair) for pair in zip(values, tensors, strict=True)]
        images = values[0]
        check_shape(images.shape, self.model, owner)
        others = [
            with_rank(value, tensor)
            for value, tensor in zip(values[1:], tensors[1:], strict=True)
        ]
        for value, tensor in zip(others, tensors[1:], strict=True):
            check_condition_shape(self.model, tensor, value.shape, images.shape)

        values = [images, *others]
        likelihood = self.model.likelihood
        sizes = [_sizes(value) for value in values]
        wanted = [
            wanted_shape(tensor, size, sizes[0])
            for tensor, size in zip(tensors, sizes, strict=True)
        ]
        fits = [_equal(*pair) for pair in zip(sizes, wanted, strict=True)]
        masks = [
            in_range(self.model, tensor, value)
            for tensor, value in zip(tensors[1:], others, strict=True)
        ]
        is_good = tf.reduce_all(
            [
                likelihood.all_in_range(images),
                *(tf.reduce_all(mask) for mask in masks),
                *(fit for fit in fits if fit is not None),
            ]
        )

        received = self.received
        if received is None:
            # A custom training loop calls the step directly, so nothing reads the
            # variable.
            check = tf.debugging.Assert(
                is_good, [f"{owner} received values out of range", images]
            )
            with tf.control_dependencies([check]):
                values = [tf.identity(value) for value in values]
        else:

            def without_bad_values():
                all_masks = [likelihood.in_range(images), *masks]
                faults = zip(values, all_masks, sizes, wanted, fits, strict=True)
                rows = [_report(*fault, self._row_size) for fault in faults]
                # The first bad batch stays until the host has read it.
                first = received[:, :1] > 0
                rows = tf.pad(rows, [(0, len(self._tensors) - len(rows)), (0, 0)])
                received.assign(tf.where(first, received, rows))
                return [
                    tf.where(mask, value, tf.zeros_like(value))
                    for value, mask in zip(values, all_masks, strict=True)
                ]

            values = tf.cond(is_good, lambda: values, without_bad_values)
            # After `tf.cond`, since XLA needs the same shapes from both branches.
            values = [
                value if fit is None else _resized(value, size)
                for value, fit, size in zip(values, fits, wanted, strict=True)
            ]
        weights = None if sample_weight is None else values.pop()
        return like(x, dict(zip(inputs, values, strict=True))), weights

    def with_flag(self, logs):
        """Add a flag to the logs of a step: above 0 after a value was out of range.

        A number rather than a boolean, since Keras averages over replicas.
        """
        if self.received is None:
            return logs
        return {**logs, self.key: tf.reduce_max(self.received[:, 0])}

    def after(self, function, owner):
        """Return `function`, which runs steps, followed by the check on the host.

        Args:
            function: Result of `make_train_function` or `make_test_function`.
            owner: The call that received the inputs, for error texts.
        """
        strategy = self.model.distribute_strategy
        if self.received is None:
            with strategy.scope():
                self.received = tf.Variable(
                    tf.zeros((len(self._tensors), self._row_size)),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.NONE,
                )
        replicas = strategy.experimental_local_results(self.received)

        def checked(iterator):
            logs = function(iterator)
            if not isinstance(logs, dict):
                raise ValueError(
                    f"{owner} needs a step that returns a dict by name, such as "
                    f'{{"loss": loss}}. Received: {type(logs).__name__}'
                )
            flag = logs.pop(self.key, None)
            if flag is None or flag.numpy() > 0:  # None from a step of one's own.
                for received in replicas:
                    rows = received.numpy()
                    if rows.any():
                        self._raise(rows, replicas, owner)
                if flag is not None:
                    # Without the other worker, the next step would never end.
                    raise ValueError(
                        f"{owner} ends here, since another worker received values out "
                        f"of range. The error of that worker says which"
                    )
            return logs

        return checked

    def _raise(self, rows, replicas, owner):
        for received in replicas:
            received.assign(tf.zeros_like(received))
        for index, (tensor, row) in enumerate(zip(self._tensors, rows, strict=True)):
            if row[0] == 2:
                rank = len(tensor.shape)
                sizes = [int(size) for size in row[1 : 1 + 2 * rank]]
                shape, wanted = sizes[:rank], sizes[rank:]
                if index == 0:
                    check_shape(shape, self.model, owner)
                check_condition_shape(self.model, tensor, shape, wanted)
            elif row[0]:
                dtype = tf.as_dtype(int(row[4])).as_numpy_dtype
                values = row[1:4].astype(dtype)
                # Let the checks of arrays describe the fault, on these few values.
                if index == 0:
                    self.model.likelihood.check_images(values, owner)
                else:
                    check_condition_values(self.model, tensor, values)
                raise ValueError(
                    f"{owner} received values of the input '{tensor.name}' that are "
                    f"out of range, among them {values[2]}. Received: values from "
                    f"{values[0]} to {values[1]}, dtype {values.dtype}"
                )


def _tensor(value, tensor):
    """Return an input of a step as a tensor of known rank."""
    value = tf.convert_to_tensor(value)
    if value.shape.rank is None:
        # The step was traced for several ranks; `train_on_batch` has checked this one.
        value = tf.ensure_shape(value, (None,) * len(tensor.shape))
    return value


def _sizes(value):
    """Return the shape of a tensor, with scalar tensors for unknown sizes."""
    return [
        tf.shape(value)[axis] if size is None else size
        for axis, size in enumerate(value.shape)
    ]


def _equal(sizes, wanted):
    """Return whether sizes are those wanted, a scalar; None if this is known."""
    unknown = [
        size == want
        for size, want in zip(sizes, wanted, strict=True)
        if size is not want and (tf.is_tensor(size) or tf.is_tensor(want))
    ]
    return tf.reduce_all(unknown) if unknown else None


def _report(value, mask, sizes, wanted, fits, row_size):
    """Return a row of `StepCheck.received`."""
    flat = tf.reshape(tf.cast(value, tf.float32), (-1,))
    # GPUs have no kernel of `argmin` for integers.
    first = tf.argmin(tf.cast(tf.reshape(mask, (-1,)), tf.float32))
    dtype = np.float32(value.dtype.as_datatype_enum)
    row = [1.0, tf.reduce_min(flat), tf.reduce_max(flat), flat[first], dtype]
    row = tf.pad(row, [(0, row_size - len(row))])
    row = tf.where(tf.reduce_all(mask), 0.0, row)
    if fits is None:
        return row
    shapes = [tf.cast(size, tf.float32) for size in (2, *sizes, *wanted)]
    shapes = tf.pad(shapes, [(0, row_size - len(shapes))])
    return tf.where(fits, row, shapes)


def _resized(value, sizes):
    """Return a tensor cut, or padded with 0, to sizes in place of its own."""
    kept = tf.minimum(tf.shape(value), sizes)
    cut = tf.slice(value, tf.zeros_like(kept), kept)
    resized = tf.pad(cut, tf.stack([tf.zeros_like(kept), sizes - kept], axis=1))
    resized.set_shape([None if tf.is_tensor(size) else size for size in sizes])
    return resized
