"""Mixture of discretized logistics."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.likelihoods.independent import Categorical
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import Config, Temperature, TensorLike

# The smallest logarithm of a scale, as in the authors' code. The paper gives no bound.
_MIN_LOG_SCALE = -7.0
# This is added to the logarithms of scales. A logistic of scale exp(-1) is nearest to
# uniform: on 256 values, it is 0.23 nats of 5.55 from it.
_INITIAL_LOG_SCALE = -1.0
# Below, 1 - exp(-width) is the width, to the precision of float32.
_SMALL_WIDTH = 1e-8
# The smallest probability that float32 holds with full precision.
_SMALLEST = float(np.finfo("float32").tiny)


@keras.saving.register_keras_serializable(package="keras_genimg")
class DiscretizedLogisticMixture(Likelihood):
    """Pixels with `num_values` ordered values: a mixture of discretized logistics.

    A component is shared by the colors of a pixel. In component k, with values scaled
    to -1..1, color c follows a logistic distribution with

        mean  = a[k, c] + sum over d < c of tanh(w[k, c, d]) x[d]
        scale = exp(max(b[k, c] - 1, -7))

    where x[d] are the earlier colors of the same pixel. The logistic is rounded to the
    nearest value: a value has the mass between the midpoints to its neighbors, and the
    first and last values have all mass below and above. The probability of a pixel is

        sum over k of softmax(l)[k] * product over c of mass[k, c](x[c])

    Parameters have the shape `(batch, height, width, n)`, with n =
    `num_components * (colors + 1) * (colors + 2) / 2`. On the last axis, they are all
    `l`, then `a` and `b` by color, then `w` by color and earlier color; each group is
    contiguous over the components. The 1 is not in the paper: with it, parameters near
    0, those of an untrained network, give an almost uniform distribution.

    `sample` takes each color from its exact distribution given the earlier ones, which
    is a mixture too: its weights are those of the components given the earlier colors.
    Temperature sharpens each of these distributions, over all of their values, as in
    `Categorical`. Values less probable than 1e-38 are not sampled at any temperature.

    Args:
        num_values: Number of values, at least 2; 256 for 8-bit images.
        num_components: Number of logistics in the mixture, at least 1.

    Raises:
        ValueError: If an argument is not an integer in range.

    Example:
        >>> likelihood = DiscretizedLogisticMixture(256, num_components=5)
        >>> model = PixelCNN((32, 32, 3), 16, 3, likelihood=likelihood)
        >>> model(images).shape
        TensorShape([4, 32, 32, 50])

    References:
        Salimans et al., PixelCNN++, 2017, sections 2.1 and 2.2, equations 1 to 3,
        https://arxiv.org/abs/1701.05517
    """

    couples_colors = True

    def __init__(self, num_values: int = 256, num_components: int = 10):
        name = type(self).__name__
        self.num_values = check_int("num_values", num_values, name, smallest=2)
        self.num_components = check_positive_int("num_components", num_components, name)

    def params_shape(self, image_shape: Sequence[int | None]) -> tuple[Any, ...]:
        height, width, num_colors = image_shape
        return height, width, self._num_params(num_colors)

    def log_prob(self, params: TensorLike, images: TensorLike) -> tf.Tensor:
        """Return the log-probability of each pixel, for all of its colors jointly.

        Args:
            params: Parameters of the images, or what `at_temperature` returns.
            images: Integers from 0 to `num_values - 1`, `(batch, height, width,
                colors)`.

        Returns:
            Nats, float32, `(batch, height, width)`.

        Raises:
            ValueError: If the parameters are not those of so many colors.
        """
        params, images = tf.cast(params, tf.float32), tf.cast(images, tf.float32)
        num_colors = images.shape[-1]
        if params.shape[-1] == self._num_params(num_colors) + num_colors:
            return _for_each_image(self._log_prob_at_temperature, params, images)
        components = self._components(params, num_colors)
        colors = tf.unstack(images, axis=-1)
        log_joint = tf.nn.log_softmax(components.logits)
        for color in range(num_colors):
            log_joint += components.log_mass(colors[color], color, colors[:color])
        return tf.reduce_logsumexp(log_joint, axis=-1)

    def sample(
        self, params: TensorLike, uniforms: TensorLike, temperature: Temperature = 1.0
    ) -> tf.Tensor:
        params = tf.cast(params, tf.float32)
        uniforms = tf.cast(uniforms, tf.float32)
        num_colors = uniforms.shape[-1]
        self._components(params, num_colors)  # This checks the shape.

        def draw(params, uniforms):
            components = self._components(params, num_colors)

            def choose(color, *given):
                return components.quantile(uniforms[..., color], color, *given)

            return tf.stack(components.color_by_color(choose)[0], axis=-1)

        def draw_at_temperature(params, uniforms):
            components, temperatures = self._at_temperature(params, num_colors)

            def choose(color, *given):
                here, temperature = uniforms[..., color], temperatures[color]
                logits = components.logits_of_values(color, *given)
                drawn = Categorical(self.num_values).sample(logits, here, temperature)
                # This is the same value as in a batch in which all temperatures are 1.
                exact = components.quantile(here, color, *given)
                return tf.where(temperature == 1, exact, drawn)

            return tf.stack(components.color_by_color(choose)[0], axis=-1)

        drawn = tf.cond(
            tf.reduce_all(tf.equal(temperature, 1)),
            lambda: _for_each_image(draw, params, uniforms),
            lambda: _for_each_image(
                draw_at_temperature, self.at_temperature(params, temperature), uniforms
            ),
        )
        drawn.set_shape(uniforms.shape)
        return drawn

    def at_temperature(self, params: TensorLike, temperature: Temperature) -> tf.Tensor:
        """Return parameters with the temperature of each color, for `log_prob` alone.

        At another temperature, the distribution is no mixture of logistics. So the
        temperatures become further parameters.

        Args:
            params: Parameters of the images.
            temperature: Divides the log-probabilities of a sub-pixel; values below 1
                give likelier images. A number, or a tensor that broadcasts against the
                images.

        Returns:
            Float32 parameters, with one more per color on the last axis.

        Raises:
            ValueError: If the number of parameters fits no number of colors.
        """
        params = tf.cast(params, tf.float32)
        shape = (*tf.unstack(tf.shape(params)[:-1]), self._num_colors(params))
        temperature = tf.broadcast_to(tf.cast(temperature, tf.float32), shape)
        return tf.concat([params, temperature], axis=-1)

    def mean(self, params: TensorLike) -> tf.Tensor:
        """Return the mean of each sub-pixel.

        The mean of the first color is exact. The sum for a later one would run over
        all values of the earlier colors. They are replaced by their means in each
        component, which changes the result only near the smallest and largest values,
        where a logistic is cut off, or if a scale is below the distance of values.

        Args:
            params: Parameters of the images.

        Returns:
            Float32 from 0 to `num_values - 1`, `(batch, height, width, colors)`.

        Raises:
            ValueError: If the number of parameters fits no number of colors.
        """
        params = tf.cast(params, tf.float32)
        num_colors = self._num_colors(params)
        components = self._components(params, num_colors)
        weights = tf.nn.softmax(components.logits)
        means = []
        for color in range(num_colors):
            means.append(components.mean(color, means))
        return tf.stack([tf.reduce_sum(weights * m, axis=-1) for m in means], axis=-1)

    def get_config(self) -> Config:
        return {"num_values": self.num_values, "num_components": self.num_components}

    def _num_params(self, num_colors):
        # A logit, means and scales, and a coefficient for each pair of colors.
        return self.num_components * (num_colors + 1) * (num_colors + 2) // 2

    def _num_colors(self, params):
        num_colors = 1
        while self._num_params(num_colors) < params.shape[-1]:
            num_colors += 1
        self._components(params, num_colors)  # This checks the shape.
        return num_colors

    def _components(self, params, num_colors):
        expected = self._num_params(num_colors)
        if params.shape[-1] != expected:
            raise ValueError(
                f"{self} expects {expected} parameters per pixel for images of "
                f"{num_colors} colors. Make the last layer of the network with "
                f"`networks.likelihood_head`. Received: shape={tuple(params.shape)}"
            )
        return _Components(params, num_colors, self.num_values)

    def _at_temperature(self, params, num_colors):
        """Return the components and the temperature of each color.

        Args:
            params: What `at_temperature` returns.
            num_colors: Number of colors of a pixel.
        """
        components = self._components(params[..., :-num_colors], num_colors)
        return components, tf.unstack(params[..., -num_colors:], axis=-1)

    def _log_prob_at_temperature(self, params, images):
        colors, normalizers = tf.unstack(images, axis=-1), []
        components, temperatures = self._at_temperature(params, len(colors))

        def choose(color, *given):
            logits = components.logits_of_values(color, *given)
            logits /= temperatures[color][..., None]
            normalizers.append(tf.reduce_logsumexp(logits, axis=-1))
            return colors[color]

        _, log_probs = components.color_by_color(choose)
        terms = zip(log_probs, temperatures, normalizers, strict=True)
        return tf.add_n(
            [log_prob / t - normalizer for log_prob, t, normalizer in terms]
        )


class _Components:
    """The discretized logistics of all components, for every pixel.

    Attributes:
        logits: Unnormalized log-weights of the components, `(..., num_components)`.
    """

    def __init__(self, params, num_colors, num_values):
        self.max_value = num_values - 1
        num_groups = (num_colors + 1) * (num_colors + 2) // 2
        self.logits, *groups = tf.split(params, num_groups, axis=-1)
        self.means = groups[:num_colors]
        self.log_scales = [
            tf.maximum(group + _INITIAL_LOG_SCALE, _MIN_LOG_SCALE)
            for group in groups[num_colors : 2 * num_colors]
        ]
        # A product with the inverse has finite gradients even if a scale overflows.
        self.inverse_scales = [tf.exp(-log_scale) for log_scale in self.log_scales]
        # By color, then by earlier color: (1, 0), (2, 0), (2, 1), ...
        self.coefficients = [tf.tanh(group) for group in groups[2 * num_colors :]]

    def color_by_color(self, choose):
        """Choose the colors of pixels one after the other.

        Args:
            choose: Function of a color's index, the logarithms of the components'
                weights given the earlier colors, `(..., num_components)`, and a list of
                these, `(...)`. Returns values, `(...)`.

        Returns:
            The values, and their log-probabilities: lists of one tensor per color.
        """
        log_weights = tf.nn.log_softmax(self.logits)
        values, log_probs = [], []
        for color in range(len(self.means)):
            value = choose(color, log_weights, values)
            # By Bayes' rule, this gives the weights given this color too.
            log_weights += self.log_mass(value, color, values)
            log_probs.append(tf.reduce_logsumexp(log_weights, axis=-1))
            log_weights -= log_probs[-1][..., None]
            values.append(value)
        return values, log_probs

    def quantile(self, uniforms, color, log_weights, earlier):
        """Return the values at which a color's distribution function exceeds uniforms.

        Two searches, among values that are far apart and then among those between two
        of them, take 30 evaluations instead of the 255 of all values.

        Args:
            uniforms: From 0 to 1, `(...)`.
            color: Index of the color.
            log_weights: Logarithms of the components' weights.
            earlier: Values of the earlier colors, `(...)`.
        """
        means = self._means(color, [value[..., None] for value in earlier])[..., None]
        inverse_scales = self.inverse_scales[color][..., None]
        weights = tf.exp(log_weights)[..., None]
        size = math.isqrt(self.max_value) + 1
        found = tf.constant(0.0)
        for stride in (size, 1):
            values = found[..., None] + stride * tf.range(1, size, dtype=tf.float32)
            edges = self._scaled(values, -1)[..., None, :]
            below = weights * tf.sigmoid((edges - means) * inverse_scales)
            below = tf.reduce_sum(below, axis=-2)
            reached = (uniforms[..., None] >= below) & (values <= self.max_value)
            found += stride * tf.reduce_sum(tf.cast(reached, tf.float32), axis=-1)
        return found

    def log_mass(self, values, color, earlier):
        """Return the log-probability of a color, `(..., num_components)`.

        Args:
            values: Integers in float32, `(...)`.
            color: Index of the color.
            earlier: Values of the earlier colors, `(...)`.
        """
        means = self._means(color, [value[..., None] for value in earlier])
        values, inverse_scales = values[..., None], self.inverse_scales[color]
        # With F the logistic function, and y = x + d,
        #
        #     F(y) - F(x) = F(y) * F(-x) * (1 - exp(-d)).
        #
        # Unlike the difference, the product loses no digits in either tail, its
        # logarithm is finite, and it leaves out a factor at each edge.
        below = (self._scaled(values, -1) - means) * inverse_scales
        above = (self._scaled(values, 1) - means) * inverse_scales
        has_lower, has_upper = values > 0, values < self.max_value
        width = 2 / self.max_value * inverse_scales
        # For a small d, 1 - exp(-d) is d. The width of a huge scale rounds to 0, but
        # its logarithm does not.
        is_small = width < _SMALL_WIDTH
        log_inside = tf.where(
            is_small,
            math.log(2 / self.max_value) - self.log_scales[color],
            tf.math.log(-tf.math.expm1(-tf.where(is_small, 1.0, width))),
        )
        return (
            tf.where(has_lower & has_upper, log_inside, 0.0)
            - tf.where(has_lower, tf.math.softplus(below), 0.0)
            - tf.where(has_upper, tf.math.softplus(-above), 0.0)
        )

    def logits_of_values(self, color, log_weights, earlier):
        """Return the log-probabilities of a color's values, `(..., num_values)`.

        Computed from probabilities, which takes half the time of their logarithms. A
        value less probable than `_SMALLEST` has -inf.

        Args:
            color: Index of the color.
            log_weights: Logarithms of the components' weights.
            earlier: Values of the earlier colors, `(...)`.
        """
        means = self._means(color, [value[..., None] for value in earlier])[..., None]
        inverse_scales = self.inverse_scales[color][..., None]
        # The formula is that of `log_mass`, but neighbors share the edge between them.
        edges = self._scaled(tf.range(self.max_value, dtype=tf.float32), 1)

        def below(edges):
            return tf.sigmoid((edges - means) * inverse_scales)

        def above(edges):
            return tf.sigmoid((means - edges) * inverse_scales)

        weights = tf.exp(log_weights)[..., None]
        inside = -tf.math.expm1(-2 / self.max_value * inverse_scales) * weights
        # Slices of the results, which are larger, take longer than more sigmoids.
        masses = [
            weights * below(edges[:1]),
            inside * (below(edges[1:]) * above(edges[:-1])),
            weights * above(edges[-1:]),
        ]
        mass = tf.concat([tf.reduce_sum(m, axis=-2) for m in masses], axis=-1)
        # The gradient of the logarithm of 0 is not finite.
        log_mass = tf.math.log(tf.maximum(mass, _SMALLEST))
        return tf.where(mass < _SMALLEST, -np.inf, log_mass)

    def mean(self, color, earlier):
        """Return the mean of a color in each component, from those of earlier ones."""
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


def _for_each_image(function, params, pixels):
    """Call a function on each image in turn, or on all pixels if they are no images.

    The masses of all values of all components are `num_components` times as large as
    the parameters of a `Categorical`. One image of them at a time fits in memory.
    """
    if params.shape.rank < 4:
        return function(params, pixels)

    @tf.autograph.experimental.do_not_convert  # It has no control flow.
    def of_one_image(tensors):
        return function(*tensors)

    return tf.map_fn(of_one_image, (params, pixels), fn_output_signature=tf.float32)
