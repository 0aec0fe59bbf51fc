"""The fast sampler: evaluates each pixel once, with caches of earlier results."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, cast

import tensorflow as tf

from keras_genimg.keras_private import all_layers
from keras_genimg.layers.causal_layer import CausalLayer, has_step_row, is_stepped
from keras_genimg.likelihoods import Likelihood
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.devices import is_on_gpu
from keras_genimg.ops.precision import has_half_precision, is_quantized
from keras_genimg.sampling.orders.order import Choice, Visited
from keras_genimg.sampling.orders.pixels import Pixels
from keras_genimg.sampling.orders.rows import Rows
from keras_genimg.sampling.orders.waves import (
    Waves,
    has_columns,
    wave_reach,
)
from keras_genimg.sampling.pixel_sampler import PixelSampler
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.program import Value
from keras_genimg.sampling.rewrites import rewritten
from keras_genimg.sampling.values import PlanValues, merged
from keras_genimg.types import AxisSize, BatchSizes, Shape, TensorLike


def incremental_sampler(
    model: PixelModel,
    jit_compile: bool = False,
    record: Callable[..., Any] | None = None,
    num_rows: tf.Tensor | int | None = None,
    guess_every_second: tf.Tensor | bool = False,
    batches: BatchSizes = "any",
) -> PixelSampler:
    """Return a function that samples images at about the cost of one forward pass.

    The model's graph becomes a `Plan` of what is computed once, per row and per pixel.
    Layers that implement `CausalLayer` are stepped, and pointwise layers are called on
    single pixels. The images are those of the ancestral sampler.

    An `Order` visits the pixels by this plan: `Pixels`, or a faster one for small
    batches. If all layers have a `reach`, several rows are sampled at once, each some
    columns behind the one above, see `Waves`. Otherwise, a single image of two-valued
    pixels is sampled row by row, if all layers evaluate rows at once, see `Rows`.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA. Otherwise, the program
            uses fused kernels, which XLA lacks.
        record: Function that each call is reported to, for a check of the sampler: the
            model; the first two images; the parameters that they were sampled from, in
            the shape of the model's output; and their conditions.
        num_rows: Number of rows to sample, for a check; None for all. Later rows are
            zero.
        guess_every_second: Whether rows that may be guessed are guessed in turns: every
            second row until it settles, and no other. A check then compares both ways
            to sample a row. By default, the batch size decides how often they are
            guessed.
        batches: The sizes that the graph will get: `"small"` ones, up to
            `largest_small_batch`, are sampled in the model's faster order, if it has
            one. For `"any"` size, the graph has both orders, and the batch size
            decides.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against those of one color, a list of conditions, and optionally
        `images` and `known`, that returns float32 images of the shape of `uniforms`. A
        `ValueError` names any layer whose output depends on the image and that is
        neither causal nor pointwise.
    """

    def sample(
        uniforms: tf.Tensor,
        temperature: float | tf.Tensor,
        conditions: Sequence[TensorLike],
        images: tf.Tensor | None = None,
        known: tf.Tensor | None = None,
    ) -> tf.Tensor:
        choice = _choice_of_images(model, uniforms, temperature, images, known)
        if record is not None:
            options = {"observe": _parameters_of_pixel, "num_observed": 2}
            choice = dataclasses.replace(choice, **options)
        values = _values(model, choice.given[1], conditions, jit_compile)
        rows = values.height if num_rows is None else num_rows
        visited = _visit(model, values, batches, guess_every_second, choice, rows)
        sampled = tf.transpose(visited.pixels, (2, 0, 1, 3))
        sampled = tf.ensure_shape(sampled, uniforms.shape)  # See `Plan.doubled`.
        if record is not None:
            params = _as_output(visited, model)
            record(model, sampled[:2], params, [given[:2] for given in conditions])
        return sampled

    return sample


def _values(
    model: PixelModel,
    template: TensorLike,
    conditions: Sequence[TensorLike],
    jit_compile: bool,
) -> PlanValues:
    """Return the `PlanValues` of a model's rewritten plan."""
    plan = rewritten(Plan.of(model))
    return PlanValues.of(plan, template, conditions, fused=not jit_compile)


def _choice_of_images(
    model: PixelModel,
    uniforms: tf.Tensor,
    temperature: float | tf.Tensor,
    images: tf.Tensor | None,
    known: tf.Tensor | None,
) -> Choice:
    """Return the `Choice` that samples pixels, or takes those that are known."""
    likelihood: Likelihood = model.likelihood
    # The temperature gets one color. For gray images, the two tensors then have the
    # same shape, so `Stacks` keeps them in one stack.
    given: list[tf.Tensor] = [
        temperature * tf.ones_like(uniforms[:, :, :, :1]),
        uniforms,
    ]
    if images is not None and known is not None:
        mask: tf.Tensor = tf.cast(tf.broadcast_to(known, tf.shape(images)), tf.float32)
        given += [images, mask]

    def choose(
        params: tf.Tensor,
        here: slice,
        temperature: tf.Tensor,
        uniforms: tf.Tensor,
        *completed: tf.Tensor,
    ) -> tf.Tensor:
        sampled = likelihood.sample(params, uniforms[:, here], temperature)
        if completed:
            images, known = completed
            sampled = tf.where(known[:, here] > 0, images[:, here], sampled)
        return sampled

    # By row, then column: (height, width, batch, colors).
    return Choice([tf.transpose(tensor, (1, 2, 0, 3)) for tensor in given], choose)


def _visit(
    model: PixelModel,
    values: PlanValues,
    batches: BatchSizes,
    guess_every_second: tf.Tensor | bool,
    choice: Choice,
    num_rows: Any,
) -> Visited:
    """Visit all pixels in the order for the sizes of batches."""
    small = None
    if batches != "large":
        small = small_batch_order(model, values, guess_every_second)
    if batches == "small":
        order = small or Pixels(values)
        return order.visit(choice, num_rows)
    if small is None:
        return Pixels(values).visit(choice, num_rows)
    is_small = values.batch <= small.largest_batch
    if isinstance(is_small, bool):  # The graph is for batches of one size.
        order = small if is_small else Pixels(values)
        return order.visit(choice, num_rows)
    if isinstance(small, Rows):  # It samples larger batches pixel by pixel.
        return small.visit(choice, num_rows)
    # An order stacks weights when it is made, so both are made outside of the branches.
    large = Pixels(values)
    return tf.cond(
        is_small,
        lambda: small.visit(choice, num_rows),
        lambda: large.visit(choice, num_rows),
    )


def small_batch_order(
    model: PixelModel, values: PlanValues, guess_every_second: tf.Tensor | bool = False
) -> Rows | Waves | None:
    """Return the faster `Order` for small batches, or None if there is none.

    Args:
        model: An `AutoregressiveModel`.
        values: The `PlanValues` of its plan.
        guess_every_second: See `incremental_sampler`.
    """
    if not values.fused or values.plan.dtype == tf.float64:
        return None
    layers = [step.operation for step in values.plan.causal_layers]
    reach, guesses_rows = _faster_ways(model, layers, values.height, values.width)
    if guesses_rows:
        return Rows(values, Pixels(values, in_pairs=False), guess_every_second)
    # A wave hands columns of caches from one row to the next. Layers that look at no
    # row above have none.
    if reach is not None and any(
        map(has_columns, tf.nest.flatten(values.initial_caches()))
    ):
        return Waves(values, reach)
    return None


def largest_small_batch(model: PixelModel, image_shape: Shape) -> int:
    """Return the size up to which batches are sampled in a faster way; 0 for none.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`.
    """
    layers = [x for x in all_layers(model) if isinstance(x, CausalLayer)]
    reach, guesses_rows = _faster_ways(model, layers, *image_shape[:2])
    if reach is not None:
        return Waves.largest_batch
    return Rows.largest_batch if guesses_rows else 0


def _faster_ways(
    model: PixelModel, layers: Sequence[CausalLayer], height: AxisSize, width: AxisSize
) -> tuple[int | None, bool]:
    """Return how small batches are sampled, if images do not depend on it, without XLA.

    Args:
        model: An `AutoregressiveModel`.
        layers: Its causal layers.
        height: See `wave_reach`.
        width: See `wave_reach`.

    Returns:
        The reach of waves, or None for no waves; and whether the rows of single images
        are guessed.
    """
    if has_half_precision(model) or is_quantized(model) or is_on_gpu():
        return None, False
    reach = wave_reach(layers, height, width)
    # With few values, a row settles soon.
    is_binary = model.likelihood.num_values == 2 and model.image_shape[-1] == 1
    steps_rows = all(has_step_row(x) for x in layers if is_stepped(x))
    return reach, reach is None and is_binary and steps_rows


def teacher_forced_params(
    model: PixelModel,
    images: TensorLike,
    conditions: Sequence[TensorLike] = (),
    jit_compile: bool = False,
) -> tf.Tensor:
    """Compute the parameters of given images with the incremental sampler.

    The sampler's program runs pixel by pixel with the same caches, but on given images
    instead of sampled ones. If the program is correct, the parameters equal those of a
    forward pass, up to rounding.

    Args:
        model: An `AutoregressiveModel`.
        images: Float32 images in the likelihood's own range, `(batch, height, width,
            colors)`.
        conditions: The model's inputs besides the images, in order.
        jit_compile: Whether the graph will be compiled with XLA.

    Returns:
        Parameters of every sub-pixel, in the shape of the model's output.

    Raises:
        ValueError: If the output of a layer depends on the image and the layer is
            neither causal nor pointwise. The error names the layer.
    """
    given = tf.transpose(tf.convert_to_tensor(images), (1, 2, 0, 3))
    values = _values(model, given, conditions, jit_compile)
    choice = Choice([given], given_pixel, _parameters_of_pixel)
    visited = Pixels(values).visit(choice, values.height)
    return _as_output(visited, model)


def given_pixel(params: tf.Tensor, here: slice, pixel: tf.Tensor) -> tf.Tensor:
    """Return some colors of a given pixel, instead of sampled ones."""
    return pixel[:, here]


def _parameters_of_pixel(
    params: list[tf.Tensor], values: dict[Value, Any]
) -> tf.Tensor:
    """Return the parameters of all colors of a pixel, concatenated."""
    parts = [merged(part, 1) for part in params]
    return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def _as_output(visited: Visited, model: PixelModel) -> tf.Tensor:
    """Return observed parameters in the shape of the model's output."""
    params = cast("tf.Tensor", visited.observed)
    sizes = tf.unstack(tf.shape(params)[:3])
    params = tf.reshape(params, (*sizes, *model.outputs[0].shape[3:]))
    return tf.transpose(params, (2, 0, 1, *range(3, params.shape.rank)))
