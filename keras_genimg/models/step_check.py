"""Check of the images and conditions in the steps of training and evaluation."""

import numpy as np
import tensorflow as tf

from keras_genimg.models.conditions import check_conditions, conditions_in_range
from keras_genimg.models.image_inputs import check_shape, inputs_by_name, like


class StepCheck:
    """Check for input values out of range inside a step, for data of any source.

    XLA removes assertions from a step, Keras keeps only the outputs of the last of
    `steps_per_execution` steps, and replicas see different batches. A variable works in
    all three cases: each step writes a summary of its inputs to it, and the host reads
    it after each call. The step replaces values out of range by 0, so they leave no NaN
    in the weights.

    Args:
        model: A `GenerativeModel`.
    """

    # For each input: whether a value was out of range; then the smallest, the largest
    # and the first such value of the first batch with one, and their dtype.
    row_size = 5
    # Key of a step's logs that tells the host to read the variable. Reading it each
    # time would cost 0.1 ms, whereas logs reach the host anyway.
    key = "input_out_of_range"

    def __init__(self, model):
        self.model = model
        self.received = None

    def inputs(self, x, owner):
        """Return a step's inputs with 0 in place of values out of range.

        Args:
            x: The inputs of the model, see `images_of`.
            owner: The call that received them, for error texts.

        Raises:
            ValueError: If `x` does not hold the inputs, or the images' shape is wrong.
        """
        inputs = inputs_by_name(x, self.model)
        inputs = {name: tf.convert_to_tensor(value) for name, value in inputs.items()}
        image_name, *conditions = inputs
        images = inputs[image_name]
        if images.shape.rank is not None:
            check_shape(images.shape, self.model, owner)
        likelihood = self.model.likelihood
        in_range = conditions_in_range(self.model, {n: inputs[n] for n in conditions})
        all_in_range = tf.reduce_all(
            [
                likelihood.all_in_range(images),
                *(tf.reduce_all(mask) for mask in in_range.values()),
            ]
        )

        received = self.received
        if received is None:
            # A custom training loop calls the step directly, so nothing reads the
            # variable.
            check = tf.debugging.Assert(
                all_in_range, [f"{owner} received values out of range", images]
            )
            with tf.control_dependencies([check]):
                return tf.nest.map_structure(tf.identity, like(x, inputs))

        def without_bad_values():
            in_range[image_name] = likelihood.in_range(images)
            rows = [
                _report(value, in_range[name])
                if name in in_range
                else tf.zeros(self.row_size)
                for name, value in inputs.items()
            ]
            # The first batch of bad values stays until the host has read it.
            first = received[:, :1] > 0
            received.assign(tf.where(first, received, tf.stack(rows)))
            return {
                name: tf.where(in_range[name], value, tf.zeros_like(value))
                if name in in_range
                else value
                for name, value in inputs.items()
            }

        return like(x, tf.cond(all_in_range, lambda: inputs, without_bad_values))

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
                    tf.zeros((len(self.model.inputs), self.row_size)),
                    trainable=False,
                    synchronization=tf.VariableSynchronization.ON_READ,
                    aggregation=tf.VariableAggregation.NONE,
                )
        replicas = strategy.experimental_local_results(self.received)

        def checked(iterator):
            logs = function(iterator)
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
        for index, row in enumerate(rows):
            if not row[0]:
                continue
            dtype = tf.as_dtype(int(row[-1])).as_numpy_dtype
            values, name = row[1:-1].astype(dtype), self.model.inputs[index].name
            # Let the checks of arrays describe the fault, on these few values.
            if index == 0:
                self.model.likelihood.check_images(values, owner)
            else:
                check_conditions(self.model, {name: values})
            raise ValueError(
                f"{owner} received values of the input '{name}' that are out of range, "
                f"among them {values[-1]}. Received: values from {values[0]} to "
                f"{values[1]}, dtype {values.dtype}"
            )


def _report(values, in_range):
    """Return a row of `StepCheck.received`."""
    flat = tf.reshape(tf.cast(values, tf.float32), (-1,))
    # GPUs have no kernel of `argmin` for integers.
    first = tf.argmin(tf.cast(tf.reshape(in_range, (-1,)), tf.float32))
    dtype = np.float32(values.dtype.as_datatype_enum)
    row = [1.0, tf.reduce_min(flat), tf.reduce_max(flat), flat[first], dtype]
    return tf.where(tf.reduce_all(in_range), tf.zeros_like(row), tf.stack(row))
