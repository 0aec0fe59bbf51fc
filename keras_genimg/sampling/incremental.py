"""The fast sampler: evaluates each pixel once, with caches of earlier results."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from keras_genimg.sampling.pixel_run import PixelRun
from keras_genimg.types import TensorLike


def incremental_sampler(
    model: keras.Model,
    jit_compile: bool = False,
    record: Callable[..., Any] | None = None,
) -> Callable[..., tf.Tensor]:
    """Return a function that draws images at about the cost of one forward pass.

    The model's graph is compiled to a program of two nested loops, over rows and over
    the pixels of a row. Layers that implement `CausalLayer` are stepped, and pointwise
    layers are called on single pixels. Operations that do not depend on the image run
    once, on whole maps. The images are those of the ancestral sampler.

    Args:
        model: An `AutoregressiveModel`.
        jit_compile: Whether the graph will be compiled with XLA. Otherwise, the program
            uses fused kernels, which XLA lacks.
        record: Function that each call is reported to, for a proof of the sampler: the
            model; the first image; the parameters that it was drawn from, in the shape
            of the model's output; and its conditions.

    Returns:
        A function of `uniforms` (batch, height, width, colors), a `temperature` that
        broadcasts against them, a list of conditions, and optionally `images` and
        `known`, that returns float32 images of the shape of `uniforms`. A `ValueError`
        names any layer whose output depends on the image and that is neither causal nor
        pointwise.
    """

    def draw(uniforms, temperature, conditions, images=None, known=None):
        # By row, then column: (height, width, batch, colors).
        given = [tf.transpose(uniforms, (1, 2, 0, 3))]
        if known is not None:
            known = tf.cast(tf.broadcast_to(known, tf.shape(images)), tf.float32)
            given += [tf.transpose(tensor, (1, 2, 0, 3)) for tensor in (images, known)]
        temperature = tf.reshape(temperature, (-1, 1))

        def choose(params, here, uniforms, *completed):
            drawn = model.likelihood.sample(params, uniforms[:, here], temperature)
            if completed:
                images, known = completed
                drawn = tf.where(known[:, here] > 0, images[:, here], drawn)
            return drawn

        run = PixelRun(model, given[0], conditions, fused=not jit_compile)
        more = _flat if record is not None else None
        drawn, *params = run.visit(given, choose, more, num_examples=1)
        drawn = tf.transpose(drawn, (2, 0, 1, 3))
        if record is not None:
            params = _as_output(*params, model)
            record(model, drawn[:1], params, [values[:1] for values in conditions])
        return drawn

    return draw


def teacher_forced_params(
    model: keras.Model,
    images: TensorLike,
    conditions: Sequence[TensorLike] = (),
    jit_compile: bool = False,
) -> tf.Tensor:
    """Compute the parameters of given images with the incremental sampler.

    The sampler's program runs pixel by pixel with the same caches, but on given images
    instead of drawn ones. If the program is correct, the parameters equal those of a
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
    given = tf.transpose(images, (1, 2, 0, 3))
    run = PixelRun(model, given, conditions, fused=not jit_compile)
    _, params = run.visit([given], given_pixel, _flat)
    return _as_output(params, model)


def given_pixel(params, here, pixel):
    """Return some colors of a given pixel, in place of drawn ones."""
    return pixel[:, here]


def _flat(params, values):
    """Return the parameters of all colors of a pixel, concatenated."""
    parts = [tf.reshape(part, (-1, part.shape[1:].num_elements())) for part in params]
    return tf.concat(parts, axis=-1) if len(parts) > 1 else parts[0]


def _as_output(params, model):
    """Return `(height, width, batch, n)` in the shape of the model's output."""
    sizes = tf.unstack(tf.shape(params)[:3])
    params = tf.reshape(params, (*sizes, *model.outputs[0].shape[3:]))
    return tf.transpose(params, (2, 0, 1, *range(3, params.shape.rank)))
