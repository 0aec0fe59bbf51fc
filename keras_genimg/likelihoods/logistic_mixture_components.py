"""Components of a mixture of discretized logistics."""

from collections.abc import Callable, Sequence

import tensorflow as tf

from keras_genimg.likelihoods.categorical import Categorical

# The smallest logarithm of a scale, as in the authors' code. The paper gives no bound.
MIN_LOG_SCALE = -7.0
# Added to the logarithms of scales. A logistic of scale exp(-1) is nearest to uniform:
# on 256 values, 0.23 nats of 5.55 from it.
INITIAL_LOG_SCALE = -1.0


class LogisticComponents:
    """The discretized logistics of all components, for every pixel.

    Args:
        params: Float32 parameters, `(..., n)`.
        num_colors: Number of colors of a pixel.
        num_components: Number of components.
        num_values: Number of values.

    Attributes:
        logits: Unnormalized log-weights of the components, `(..., num_components)`.
    """

    def __init__(
        self,
        params: tf.Tensor,
        num_colors: int,
        num_components: int,
        num_values: int,
    ):
        self.max_value = num_values - 1
        num_groups = (num_colors + 1) * (num_colors + 2) // 2
        self.logits, *groups = tf.split(params, num_groups, axis=-1)
        self.means = groups[:num_colors]
        # A product with the inverse has finite gradients even if a scale overflows.
        self.inverse_scales = [
            tf.exp(-tf.maximum(group + INITIAL_LOG_SCALE, MIN_LOG_SCALE))
            for group in groups[num_colors : 2 * num_colors]
        ]
        # By color, then by earlier color: (1, 0), (2, 0), (2, 1), ...
        self.coefficients = [tf.tanh(group) for group in groups[2 * num_colors :]]

    def log_mass(
        self, values: tf.Tensor, color: int, earlier: Sequence[tf.Tensor]
    ) -> tf.Tensor:
        """Return the log-probability of a color in each component.

        Args:
            values: Integers in float32, `(...)`.
            color: Index of the color.
            earlier: Values of the earlier colors, `(...)`.

        Returns:
            Nats of shape `(..., num_components)`.
        """
        means = self._means(color, [value[..., None] for value in earlier])
        return self._log_mass(values[..., None], means, self.inverse_scales[color])

    def log_masses(self, color: int, earlier: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the log-probabilities of all values of a color in each component.

        Args:
            color: Index of the color.
            earlier: Values of the earlier colors, `(...)`.

        Returns:
            Nats of shape `(..., num_components, num_values)`.
        """
        means = self._means(color, [value[..., None] for value in earlier])
        values = tf.range(self.max_value + 1, dtype=tf.float32)
        return self._log_mass(
            values, means[..., None], self.inverse_scales[color][..., None]
        )

    def color_by_color(
        self, temperatures: tf.Tensor, choose: Callable[[int, tf.Tensor], tf.Tensor]
    ) -> tuple[list[tf.Tensor], list[tf.Tensor]]:
        """Choose the colors of pixels one after the other.

        Args:
            temperatures: Temperature of each color, `(..., colors)`.
            choose: Function of a color's index and the logits of its values given the
                earlier colors, `(..., num_values)`. Returns values, `(...)`.

        Returns:
            The values, and the logits they were chosen from: lists of one tensor per
            color.
        """
        one_color = Categorical(self.max_value + 1)
        log_weights = tf.nn.log_softmax(self.logits)
        values, tables = [], []
        for color, temperature in enumerate(tf.unstack(temperatures, axis=-1)):
            table = log_weights[..., None] + self.log_masses(color, values)
            logits = tf.reduce_logsumexp(table, axis=-2)
            tables.append(one_color.at_temperature(logits, temperature))
            value = choose(color, tables[-1])
            # Bayes' rule: the weights of the components given this color too.
            log_weights += self.log_mass(value, color, values)
            log_weights = tf.nn.log_softmax(log_weights)
            values.append(value)
        return values, tables

    def mean(self, color: int, earlier: Sequence[tf.Tensor]) -> tf.Tensor:
        """Return the mean of a color in each component.

        Args:
            color: Index of the color.
            earlier: Values of the earlier colors in each component, `(...,
                num_components)`.

        Returns:
            From 0 to `num_values - 1`, `(..., num_components)`.
        """
        means = self._means(color, earlier)[..., None]
        inverse_scales = self.inverse_scales[color][..., None]
        # The mean of an integer from 0 is the sum of P(at least v) over v from 1.
        values = tf.range(1, self.max_value + 1, dtype=tf.float32)
        edges = self._scaled(values, -1)
        return tf.reduce_sum(tf.sigmoid((means - edges) * inverse_scales), axis=-1)

    def _means(self, color, earlier):
        """Return the mean given earlier colors, which broadcast to the components."""
        means = self.means[color]
        start = color * (color - 1) // 2
        coefficients = self.coefficients[start : start + color]
        for coefficient, value in zip(coefficients, earlier, strict=True):
            means += coefficient * self._scaled(value)
        return means

    def _scaled(self, values, offset=0):
        """Return values, shifted by half of `offset`, on the scale from -1 to 1."""
        # The numerator is an exact integer, so that neighbors share their edge.
        return (2 * values + (offset - self.max_value)) / self.max_value

    def _log_mass(self, values, means, inverse_scales):
        # With F the logistic function, and y = x + d,
        #
        #     F(y) - F(x) = F(y) * F(-x) * (1 - exp(-d)).
        #
        # Unlike the difference, the product loses no digits in either tail, its
        # logarithm is finite, and it leaves out a factor at each edge.
        below = (self._scaled(values, -1) - means) * inverse_scales
        above = (self._scaled(values, 1) - means) * inverse_scales
        has_lower, has_upper = values > 0, values < self.max_value
        # At least 1e-30, since a huge scale makes the width 0 and its logarithm -inf.
        width = tf.maximum(2 / self.max_value * inverse_scales, 1e-30)
        log_inside = tf.math.log(-tf.math.expm1(-width))
        return (
            tf.where(has_lower & has_upper, log_inside, 0.0)
            - tf.where(has_lower, tf.math.softplus(below), 0.0)
            - tf.where(has_upper, tf.math.softplus(-above), 0.0)
        )
