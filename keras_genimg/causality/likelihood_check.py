"""Check that a likelihood's samples have its probabilities, for random parameters."""

import itertools
import math
import random
import types
import weakref
from collections.abc import Sequence
from typing import Any, NoReturn

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.likelihoods import Likelihood
from keras_genimg.types import Array, Shape, SymbolicTensor

# A unit of at most so many values is checked for all of them. A table of so many logits
# for each value has 1 MB.
_MOST_VALUES = 512
# The sum of all probabilities may differ from 1 by this much, because of rounding.
_SUM_TOLERANCE = 1e-3
# An output counts as changed from this part of its size on, because of rounding.
_TOLERANCE = 1e-4
# The random parameters have these standard deviations, alternating from pixel to pixel.
_SCALES = (0.5, 1.0, 2.0)
# The values of so many distributions are enumerated, and sampled with even uniforms.
_NUM_DISTRIBUTIONS = 3
# One color is sampled with uniforms evenly spaced on a line, several colors with points
# in a cube.
_NUM_ON_LINE, _NUM_IN_CUBE = 2**12, 2**13
# Distribution functions may differ by this much. On a line, each end of a step may be
# off by one point. In a cube, this is several times the largest difference that was
# found for correct likelihoods.
_LINE_TOLERANCE, _CUBE_TOLERANCE = 4 / _NUM_ON_LINE, 0.01
# So many pixels are sampled twice, and must be equal.
_NUM_REPEATED = 2**11
# A call has at most so many parameters, 16 MB. If a pixel has many, fewer are sampled.
_MOST_PARAMS = 2**22
# A search for the end of an interval has five steps, each to a sixteenth.
_PARTS, _STEPS = 16, 5
_TICKS = _PARTS**_STEPS
# Pixels are sampled at a temperature of 1 and at this one. Two images of one batch have
# the temperatures of the pair.
_TEMPERATURE = 0.7
_TEMPERATURES = (0.7, 1.5)
# If values are not enumerated, the intervals of uniforms are measured for so many
# pixels, by temperature. At a temperature, a `DiscretizedLogisticMixture` takes longer.
_NUM_MEASURED = {None: 16, _TEMPERATURE: 6}

# Attributes with `==` that is True only if they are the same.
_COMPARABLE = (
    *(type(None), bool, int, float, str, type),
    *(types.FunctionType, property, staticmethod, classmethod),
)

# Likelihoods that passed: what their classes and attributes are, see `_key`, and those
# of which that cannot be said, by their address.
_passed = set()
_passed_instances = {}


# The caller may be in a `tf.function`. The decorator has no types.
@tf.autograph.experimental.do_not_convert  # pyright: ignore[reportUntypedFunctionDecorator]
def check_likelihood(likelihood: Likelihood, num_colors: int) -> None:
    """Raise an error unless a likelihood's samples have its probabilities.

    The public methods of a likelihood with finitely many values are called with random
    parameters, and these must hold:

    - `sample` and `log_prob` return the documented shapes, values in range, and the
      same for the same arguments. `sample` may not use random numbers of its own.
    - `log_prob_of_pixels` and `log_prob_of_images` return sums of `log_prob`.
    - A unit depends on its own parameters and uniforms alone, not on other examples,
      pixels or, unless colors are coupled, colors. A unit is a pixel if they are
      coupled, else a sub-pixel. Single units are sampled as in an image.
    - The probabilities of all values of a unit sum to 1, and evenly spaced uniforms
      give values with these probabilities. Values are enumerated for each color, or for
      each pixel if its colors are coupled.
    - The same holds at another temperature, for the probabilities that `log_prob` has
      with the parameters of `at_temperature`, if that is implemented.

    More than 512 values of a unit, such as three coupled colors with 256 values each,
    are not enumerated. Some pixels are sampled instead. A pixel is sampled for all
    uniforms in a box, with an interval for each color, because `sample` inverts a
    distribution function. The ends of the intervals are searched for, and the volume of
    the box must be the probability of the pixel. Since volumes sum to 1, so do the
    probabilities of all pixels that can be sampled. The check does not see
    probabilities of pixels that are never sampled, nor faults of values that none of
    the sampled pixels has.

    Parameters are independent normal numbers, with a standard deviation of up to 2. If
    the class overrides `head`, they are what it returns for such numbers instead of
    its convolutions.

    A likelihood is checked once for each class, attributes and number of colors, or, if
    it has attributes that cannot be compared, such as layers, once for each object.
    Anything else that its methods use, such as a global variable, may change
    unnoticed. `mean` is
    not checked, since it may be an approximation.

    Args:
        likelihood: A `Likelihood`. One without `num_values` passes unchecked.
        num_colors: Number of colors of the images.

    Raises:
        ValueError: If the likelihood does not pass, or a method raises an error.
    """
    num_values = likelihood.num_values
    if num_values is None:
        return
    instance = id(likelihood), num_colors
    # The check runs eagerly, even while the caller is being traced. It runs on the CPU,
    # where results do not depend on kernels for other shapes or precisions, which could
    # look like a fault.
    with tf.init_scope(), tf.device("CPU"):
        key = _key(likelihood, num_colors)
        reference = _passed_instances.get(instance)
        if key in _passed or (reference is not None and reference() is likelihood):
            return
        methods = _Methods(likelihood, int(num_values), num_colors)
        _check_repetition(methods)
        _check_totals(methods)
        _check_separation(methods)
        _check_single_units(methods)
        for temperature in methods.temperatures:
            if methods.values_per_unit <= _MOST_VALUES:
                _check_all_values(methods, temperature)
            else:
                _check_some_values(methods, temperature)
    if key is None:
        _passed_instances[instance] = weakref.ref(likelihood)
    else:
        _passed.add(key)


class _Methods:
    """The methods of a likelihood, whose results are checked for shape and range.

    Attributes:
        couples: Whether a unit is a pixel, else a sub-pixel.
        num_axes: Number of uniforms of a unit.
        values_per_unit: Number of values of a unit.
        temperatures: None for the parameters as they are, and one temperature if
            `at_temperature` is implemented.
        splits_colors: Whether the parameters have an axis of colors.
    """

    def __init__(self, likelihood: Likelihood, num_values: int, num_colors: int):
        self.likelihood = likelihood
        self.name = type(likelihood).__name__
        self.num_colors = num_colors
        self.num_values = num_values
        self.couples = bool(likelihood.couples_colors)
        self.num_axes = num_colors if self.couples else 1
        self.values_per_unit = self.num_values**self.num_axes
        self.generator = np.random.default_rng(0)
        self.pixel_shape = self.params_shape(1, 1)[2:]
        self.splits_colors = not self.couples and self.pixel_shape[:1] == (num_colors,)
        self.params_per_pixel = max(1, math.prod(self.pixel_shape))
        self.head = self._own_head()
        self.temperatures: list[float | None] = [None]
        if self._has_temperature():
            self.temperatures.append(_TEMPERATURE)

    def fail(self, text: str) -> NoReturn:
        """Raise an error about the likelihood."""
        colors = "1 color" if self.num_colors == 1 else f"{self.num_colors} colors"
        raise ValueError(
            f"{self.name} is not a valid likelihood of images with {colors}, so "
            f"log-probabilities or images would be wrong. {text} It was called with "
            f"random parameters; see the tutorial 'Write a likelihood'."
        )

    def params_shape(self, height: int, width: int) -> tuple[int, ...]:
        """Return the shape of the parameters of an image."""
        image_shape = (height, width, self.num_colors)
        shape = self._call("params_shape", image_shape)
        if not isinstance(shape, tuple | list) or tuple(shape[:2]) != (height, width):
            self.fail(
                f"`params_shape({image_shape})` must return a tuple that begins with "
                f"the height and the width. Received: {shape}."
            )
        return tuple(shape)

    def params(self, num_images: int, height: int, width: int) -> Array:
        """Return random parameters of images, float32."""
        shape = (num_images, *self.params_shape(height, width))
        if self.head is None:
            return self._normal(shape)
        inputs = [
            self._normal((num_images, height, width, *each.shape[3:]))
            for each in self.head.inputs
        ]
        try:
            params = np.asarray(self.head(inputs), "float32")
        except Exception as error:
            given = f"features {inputs[0].shape}"
            raise self._error("head", given, error) from error
        self._check_shape("head", params, shape)
        return params

    def uniforms(self, num_images: int, height: int, width: int) -> Array:
        """Return random uniform numbers for images, float32."""
        shape = (num_images, height, width, self.num_colors)
        ticks = self.generator.integers(_TICKS, size=shape)
        return (ticks / _TICKS).astype("float32")

    def images(self, num_images: int, height: int, width: int) -> Array:
        """Return random images, float32."""
        shape = (num_images, height, width, self.num_colors)
        return self.generator.integers(self.num_values, size=shape).astype("float32")

    def sample(self, params: Array, uniforms: Array, temperature: Any = 1.0) -> Array:
        """Return pixels, float64, of the shape of the uniforms."""
        drawn = self._call("sample", params, uniforms, temperature)
        self._check_shape("sample", drawn, uniforms.shape)
        valid = (drawn >= 0) & (drawn < self.num_values) & (drawn == np.floor(drawn))
        if not valid.all():
            self.fail(
                f"`sample` must return integers from 0 to {self.num_values - 1}, since "
                f"`num_values` is {self.num_values}. Received: "
                f"{drawn[~valid].flat[0]:g}."
            )
        return drawn

    def log_prob(
        self, params: Array, images: Array, temperature: float | None = None
    ) -> Array:
        """Return nats of each unit, float64."""
        if temperature is not None:
            params = self.at_temperature(params, _as_argument(temperature))
        nats = self._call("log_prob", params, images)
        shape = images.shape[:-1] if self.couples else images.shape
        self._check_shape("log_prob", nats, shape)
        if np.isnan(nats).any() or np.isposinf(nats).any():
            self.fail(
                f"`log_prob` must return log-probabilities for all real parameters, "
                f"since a network can return any. If these must be positive or sum to "
                f"1, call `tf.exp` or `tf.nn.softmax` in the methods of {self.name}, "
                f"or in its `head`. Received: {nats[~(nats < np.inf)].flat[0]}."
            )
        return nats

    def total(
        self, name: str, params: Array, images: Array, shape: tuple[int, ...]
    ) -> Array:
        """Return the sums of log-probabilities of a method, which have a shape."""
        nats = self._call(name, params, images)
        if nats.shape != shape:
            self.fail(
                f"`{name}` must return the shape {shape}. Received: {nats.shape}."
            )
        return nats

    def at_temperature(self, params: Array, temperature: Any) -> Array:
        """Return the parameters at a temperature, which may have another shape."""
        return self._call("at_temperature", params, temperature)

    def _has_temperature(self) -> bool:
        params = self.params(1, 1, 1)
        try:
            self.at_temperature(params, _as_argument(_TEMPERATURE))
        except ValueError as error:
            if isinstance(error.__cause__, NotImplementedError):
                return False
            raise
        return True

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a method with arrays, and return an array, or a shape as it is."""
        is_array = [isinstance(x, np.ndarray) for x in arguments]
        pairs = zip(arguments, is_array, strict=True)
        given = [tf.constant(x, tf.float32) if array else x for x, array in pairs]
        try:
            result = getattr(self.likelihood, name)(*given)
            if name == "params_shape":
                return result
            dtype = "float32" if name == "at_temperature" else "float64"
            return np.asarray(tf.convert_to_tensor(result)).astype(dtype)
        except Exception as error:
            shapes = ", ".join(str(tuple(np.shape(x))) for x in given)
            raise self._error(
                name, f"arguments of the shapes {shapes}", error
            ) from error

    def _error(self, name: str, given: str, error: Exception) -> ValueError:
        return ValueError(
            f"`{name}` of {self.name} must work for the arguments in the docstring of "
            f"`Likelihood.{name}`. It raised {type(error).__name__} for {given}: "
            f"{error}"
        )

    def _check_shape(self, name: str, result: Array, expected: Sequence[int]) -> None:
        if result.shape != tuple(expected):
            rule = {
                "head": "`params_shape` after the batch",
                "sample": "the shape of `uniforms`",
                "log_prob": "the shape of `images`",
            }[name]
            if name == "log_prob" and self.couples:
                rule += " without the last axis, since `couples_colors` is True"
            self.fail(
                f"`{name}` must return {rule}: {tuple(expected)}. Received: "
                f"{result.shape}."
            )

    def _normal(self, shape: tuple[int, ...]) -> Array:
        scales = np.resize(_SCALES, shape[:3]).reshape(
            *shape[:3], *[1] * (len(shape) - 3)
        )
        return (self.generator.normal(size=shape) * scales).astype("float32")

    def _own_head(self) -> keras.Function | None:
        """Return the likelihood's `head` as a function of its convolutions, or None.

        A class may rely on its `head` for parameters that are positive or sum to 1.
        """
        if type(self.likelihood).head is Likelihood.head:
            return None
        features = keras.Input((None, None, 32 * self.num_colors))
        inputs = [features]

        def convolve(x: SymbolicTensor, shape: Shape) -> SymbolicTensor:
            inputs.append(keras.Input((None, None, *shape)))
            return inputs[-1]

        # Layers of the head take the seeds of their weights from this generator. The
        # next weights of the caller must not depend on them.
        state = random.getstate()
        try:
            params = self.likelihood.head(features, self.num_colors, convolve)
            return keras.Function(inputs, params)
        except Exception as error:
            given = f"features {tuple(features.shape)}"
            raise self._error("head", given, error) from error
        finally:
            random.setstate(state)


def _check_repetition(methods: _Methods) -> None:
    """Check that `sample` and `log_prob` have no random numbers of their own."""
    most = _MOST_PARAMS // methods.params_per_pixel
    size = (1, 1, max(1, min(_NUM_REPEATED, most)))
    params, images = methods.params(*size), methods.images(*size)
    uniforms = methods.uniforms(*size)
    drawn = [methods.sample(params, uniforms) for _ in range(2)]
    if (drawn[0] != drawn[1]).any():
        methods.fail(
            "`sample` returned other pixels when it was called again with the same "
            "arguments. An image must depend on its seed alone: use the `uniforms`, "
            "and neither `tf.random` nor state."
        )
    nats = [methods.log_prob(params, images) for _ in range(2)]
    if _differ(*nats).any():
        methods.fail(
            "`log_prob` returned other values when it was called again with the same "
            "arguments. Use no random numbers and no state in it."
        )


def _check_totals(methods: _Methods) -> None:
    """Check the sums of `log_prob` that models use, which a class may override."""
    size = (2, 2, 2)
    params, images = methods.params(*size), methods.images(*size)
    nats = methods.log_prob(params, images).reshape(*size, -1)
    for name, axes in (("log_prob_of_pixels", 3), ("log_prob_of_images", (1, 2, 3))):
        expected = nats.sum(axis=axes)
        total = methods.total(name, params, images, expected.shape)
        if _differ(total, expected).any():
            methods.fail(
                f"`{name}` must return sums of `log_prob`. Received: "
                f"{total.flat[0]:.6g}. Expected: {expected.flat[0]:.6g}. Leave the "
                f"method to the base class."
            )


def _check_separation(methods: _Methods) -> None:
    """Check that no unit depends on others."""
    size = (2, 2, 2)
    before, after = (
        (methods.params(*size), methods.images(*size), methods.uniforms(*size))
        for _ in range(2)
    )
    nats, drawn = _results(methods, *before)
    shape = before[1].shape
    # Any two units differ along an axis, in which one of the calls changes the other.
    for axis, name in enumerate(["example", "row", "column", "color"]):
        if shape[axis] == 1 or (axis == 3 and methods.couples):
            continue
        for index in range(shape[axis]):
            changed = np.indices(shape)[axis] == index
            of_params = changed
            if not methods.splits_colors:  # Parameters of a pixel are for all colors.
                of_params = changed.all(axis=-1, keepdims=True)
            changes = (of_params, changed, changed)
            mixed = [_where(*each) for each in zip(changes, after, before, strict=True)]
            results = _results(methods, *mixed)
            for method, new, old in zip(
                ("log_prob", "sample"), results, (nats, drawn), strict=True
            ):
                same = ~changed[..., 0] if new.ndim == 3 else ~changed
                if (_differ(new, old) & same).any():
                    couples = ", or set `couples_colors = True`" if axis == 3 else ""
                    methods.fail(
                        f"`{method}` mixes {name}s: its result for one {name} changed "
                        f"with the parameters and pixels of another {name}. Compute "
                        f"each {name} from its own alone{couples}."
                    )


def _results(
    methods: _Methods, params: Array, images: Array, uniforms: Array
) -> tuple[Array, Array]:
    return methods.log_prob(params, images), methods.sample(params, uniforms)


def _check_single_units(methods: _Methods) -> None:
    """Check that single units, without height and width, are sampled as in an image."""
    size = (2, 2, 2)
    params, uniforms = methods.params(*size), methods.uniforms(*size)
    for temperatures in ((1.0, 1.0), _TEMPERATURES)[: len(methods.temperatures)]:
        temperature = np.array(temperatures, "float32").reshape(2, 1, 1, 1)
        whole = methods.sample(params, uniforms, temperature)
        flat = [("pixels", 8)]
        if methods.splits_colors and methods.num_colors > 1:
            flat.append(("sub-pixels", whole.size))
        for name, count in flat:
            num_colors = whole.size // count
            rest = methods.pixel_shape
            if name == "sub-pixels":
                rest = (1, *rest[1:])
            single = methods.sample(
                params.reshape(count, *rest),
                uniforms.reshape(count, num_colors),
                np.repeat(temperature.reshape(2, 1), count // 2, axis=0),
            )
            if (single.ravel() != whole.ravel()).any():
                methods.fail(
                    f"`sample` returns other values for single {name}, parameters "
                    f"{(count, *rest)} and uniforms {(count, num_colors)}, than for "
                    f"the same {name} in images, at the temperatures {temperatures}. "
                    f"Images are generated from single {name}. Count axes from the "
                    f"last one, as in `axis=-1`, and mix no {name}."
                )


def _check_all_values(methods: _Methods, temperature: float | None) -> None:
    """Check the probabilities of all values of a unit, and samples of even uniforms."""
    if methods.couples:
        values = list(
            itertools.product(range(methods.num_values), repeat=methods.num_colors)
        )
    else:
        values = [(v,) * methods.num_colors for v in range(methods.num_values)]
    values = np.array(values, "float32")
    is_line = methods.num_axes == 1
    num_draws = _NUM_ON_LINE if is_line else _NUM_IN_CUBE
    uniforms = _even_uniforms(num_draws, methods.num_axes)
    if not methods.couples:
        uniforms = np.repeat(uniforms, methods.num_colors, axis=-1)
    for params in np.split(
        methods.params(1, 1, _NUM_DISTRIBUTIONS), _NUM_DISTRIBUTIONS, axis=2
    ):
        repeated = np.repeat(params, len(values), axis=2)
        nats = methods.log_prob(repeated, values[None, None], temperature)[0, 0]
        probabilities = np.exp(np.minimum(nats, 80)).reshape(len(values), -1)
        _check_sums(methods, probabilities.sum(axis=0), temperature)
        repeated = np.repeat(params, num_draws, axis=2)
        arguments = repeated, uniforms[None, None], _as_argument(temperature)
        drawn = methods.sample(*arguments)[0, 0]
        _check_shares(methods, drawn, values, probabilities, temperature)


def _check_sums(methods: _Methods, sums: Array, temperature: float | None) -> None:
    wrong = sums[np.abs(sums - 1).argmax()]
    if abs(wrong - 1) > _SUM_TOLERANCE:
        unit = "pixel" if methods.couples else "sub-pixel"
        methods.fail(
            f"The probabilities of the {methods.values_per_unit} values of a {unit}"
            f"{_at(temperature)} must sum to 1. Received: a sum of {wrong:.6g}. Make "
            f"`log_prob` the logarithm of a probability of `num_values`="
            f"{methods.num_values} values, 0 to {methods.num_values - 1}, for example "
            f"by `tf.nn.log_softmax`."
        )


def _check_shares(
    methods: _Methods,
    drawn: Array,
    values: Array,
    probabilities: Array,
    temperature: float | None,
) -> None:
    """Compare the shares of values among samples with their probabilities.

    Args:
        methods: `_Methods`.
        drawn: Pixels of even uniforms, `(samples, colors)`.
        values: All pixels, `(values, colors)`, in the order of their digits.
        probabilities: `(values, units)`.
        temperature: A number, or None.
    """
    if methods.couples:
        places = methods.num_values ** np.arange(methods.num_colors)[::-1]
        drawn = np.sum(drawn * places, axis=-1, keepdims=True)
    counts = [np.bincount(x, minlength=len(values)) for x in drawn.astype("int64").T]
    below = np.cumsum(np.stack(counts, axis=-1), axis=0) / len(drawn)
    expected = np.cumsum(probabilities, axis=0)
    tolerance = _LINE_TOLERANCE if methods.num_axes == 1 else _CUBE_TOLERANCE
    differences = np.abs(below - expected)
    if differences.max() > tolerance:
        place = np.unravel_index(differences.argmax(), differences.shape)
        pixel = values[place[0]].astype(int)
        value = tuple(pixel.tolist()) if methods.couples else int(pixel[0])
        _fail_draws(
            methods,
            temperature,
            f"with evenly spaced uniforms, a share of {below[place]:.4f} of its values "
            f"is up to {value}, and {expected[place]:.4f} by `log_prob`",
        )


def _fail_draws(
    methods: _Methods, temperature: float | None, difference: str
) -> NoReturn:
    if temperature is None:
        mend = (
            "Compute both from the same logits, and invert the distribution function: "
            "the smallest value whose cumulative probability exceeds the uniform."
        )
    else:
        mend = (
            "`at_temperature` must return the parameters of the distribution that "
            "`sample` follows at this temperature, for `log_prob`."
        )
    methods.fail(
        f"`sample` does not follow the probabilities of `log_prob`"
        f"{_at(temperature)}: {difference}. {mend}"
    )


def _check_some_values(methods: _Methods, temperature: float | None) -> None:
    """Compare probabilities of sampled pixels with the volumes of their uniforms."""
    # Ways to move the uniforms of a pixel: up and down.
    sides = list(itertools.product(range(methods.num_axes), (1, -1)))
    most = _MOST_PARAMS // (methods.params_per_pixel * len(sides) * _PARTS)
    count = max(1, min(_NUM_MEASURED[temperature], most))
    params = methods.params(1, 1, count)
    points = _even_uniforms(count, methods.num_colors).astype("float64")
    # There are more points near 0 and 1, where the smallest and largest values are.
    ticks = np.floor(points**2 * (3 - 2 * points) * _TICKS).astype("int64")
    drawn = _drawn_at(methods, params, ticks, temperature)
    nats = methods.log_prob(params, drawn[None, None].astype("float32"), temperature)
    # `inside` counts the ticks that each uniform can move and draw the same pixel.
    # Each round tries all parts of the interval that is left, on all sides at once.
    inside = np.zeros((len(sides), *nats.shape[2:]), "int64")
    step = _TICKS
    for _ in range(_STEPS):
        step //= _PARTS
        reached = np.arange(1, _PARTS).reshape(-1, *[1] * inside.ndim) * step + inside
        moved = np.tile(ticks, (_PARTS - 1, len(sides), 1, 1))
        for side, (axis, direction) in enumerate(sides):
            color = axis if methods.couples else slice(None)
            moved[:, side, :, color] += direction * reached[:, side]
        allowed = np.clip(moved, 0, _TICKS - 1)
        found = _drawn_at(methods, params, allowed, temperature)
        equal = (found == drawn) & (moved == allowed)
        equal = equal.all(axis=-1) if methods.couples else equal
        # An interval ends at the first tick that differs.
        inside += step * np.cumprod(equal, axis=0).sum(axis=0)
    # The uniforms of a pixel are a box, whose volume must be its probability.
    lengths = (inside[0::2] + inside[1::2] + 1) / _TICKS
    volumes = lengths.prod(axis=0)
    probabilities = np.exp(np.minimum(nats[0, 0], 80))
    tolerance = 2e-3 + (4 / _TICKS / lengths).sum(axis=0)
    wrong = np.abs(probabilities / volumes - 1) > tolerance
    if wrong.any():
        place = np.unravel_index(wrong.argmax(), wrong.shape)
        value = drawn[place].astype(int).tolist()
        _fail_draws(
            methods,
            temperature,
            f"the value {value} has a probability of {volumes[place]:.4g} if the "
            f"uniforms of a color that give it are an interval, and "
            f"{probabilities[place]:.4g} by `log_prob`",
        )


def _drawn_at(
    methods: _Methods, params: Array, ticks: Array, temperature: float | None
) -> Array:
    """Return pixels `(..., count, colors)` for uniforms of that shape, in ticks."""
    uniforms = (ticks / _TICKS).astype("float32").reshape(1, 1, -1, ticks.shape[-1])
    repeats = uniforms.shape[2] // params.shape[2]
    params = np.tile(params, (1, 1, repeats, *[1] * (params.ndim - 3)))
    drawn = methods.sample(params, uniforms, _as_argument(temperature))
    return drawn.reshape(ticks.shape)


def _even_uniforms(count: int, num_axes: int) -> Array:
    """Return points that fill a cube evenly, `(count, num_axes)`.

    Numbers on a line are evenly spaced. In a cube, they are a Halton sequence: each
    coordinate is the index with its digits behind the point, in reverse, in a base that
    is the next prime number.
    """
    if num_axes == 1:
        return ((np.arange(count)[:, None] + 0.5) / count).astype("float32")
    primes = (n for n in itertools.count(2) if all(n % k for k in range(2, n)))
    points = np.zeros((count, num_axes))
    for axis, base in enumerate(itertools.islice(primes, num_axes)):
        index, place = np.arange(1, count + 1), 1.0
        while index.any():
            place /= base
            points[:, axis] += place * (index % base)
            index //= base
    return (np.floor(points * _TICKS) / _TICKS).astype("float32")  # It is never 1.


def _as_argument(temperature: float | None) -> Any:
    # Models pass a tensor. A temperature of 1 is passed as a number, which is allowed.
    if temperature is None:
        return 1.0
    return np.full((1, 1, 1, 1), temperature, "float32")


def _at(temperature: float | None) -> str:
    return "" if temperature is None else f" at temperature {temperature}"


def _differ(new: Array, old: Array) -> Array:
    """Return where two results differ by more than rounding; both may be -inf."""
    return ~np.isclose(new, old, rtol=_TOLERANCE, atol=_TOLERANCE)


def _where(mask: Array, new: Array, old: Array) -> Array:
    """Return `new` where a mask over the first axes is True, else `old`."""
    if mask.ndim > old.ndim:
        mask = mask[..., 0]
    return np.where(mask.reshape(*mask.shape, *[1] * (old.ndim - mask.ndim)), new, old)


def _key(likelihood: Likelihood, num_colors: int) -> tuple[Any, ...] | None:
    """Return all that the results of a likelihood depend on, or None if unknown.

    A class that was defined again, as in a notebook, has other methods. An instance may
    have attributes that its configuration lacks.
    """
    attributes = [
        (name, value)
        for kind in type(likelihood).__mro__
        for name, value in vars(kind).items()
        if kind is not object and not name.startswith("__")
    ]
    attributes += vars(likelihood).items()
    try:
        return type(likelihood), num_colors, _comparable(attributes)
    except (TypeError, NotImplementedError):  # Symbolic tensors have no values.
        return None


def _comparable(value: Any) -> tuple[Any, ...]:
    """Return a hashable object that is equal if a value is the same."""
    if isinstance(value, dict):
        value = list(value.items())
    if isinstance(value, list | tuple):
        return type(value), tuple(map(_comparable, value))
    if isinstance(value, np.ndarray | np.generic | tf.Tensor | tf.Variable):
        value = np.asarray(value)
        if value.dtype == object:
            raise TypeError("the contents of objects may change")
        return value.dtype.str, value.shape, value.tobytes()
    if isinstance(value, _COMPARABLE):
        return type(value), value
    raise TypeError(f"no comparison for {type(value)}")
