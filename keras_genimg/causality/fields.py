"""The pixels that a model's output at one pixel can depend on."""

from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.random_weights import random_weights
from keras_genimg.inputs.images import sized_image_shape
from keras_genimg.model_types import FunctionalModel
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.types import Array, Shape


def dependency_field(
    model: FunctionalModel,
    pixel: Sequence[int],
    image_size: Shape | None = None,
    seed: int = 0,
    num_draws: int = 4,
) -> Array:
    """Return the pixels that can influence a model's output at one pixel.

    The field depends on the graph, not on the weights. A pixel belongs to it if the
    gradient of the output with respect to that pixel is not exactly 0 in one of several
    draws of random weights and inputs. The weights of the model are not changed. Other
    inputs of the model are zeros.

    Args:
        model: A functional `keras.Model` from maps `(batch, height, width, channels)`
            to maps of the same height and width: an `AutoregressiveModel`, or
            `keras.Model(inputs, layer(inputs))` for one layer.
        pixel: `(row, column)` of the output.
        image_size: `(height, width)`, for a model of any size.
        seed: Seed of the random weights and inputs.
        num_draws: Number of draws. In a single one, dead ReLUs can hide an influence.

    Returns:
        Boolean array of shape `(height, width)`: whether any channel of the pixel has
        an influence.

    Raises:
        ValueError: If an argument is invalid.

    Example:
        >>> inputs = keras.Input((5, 5, 1))
        >>> model = keras.Model(inputs, RowLSTM(8)(inputs))
        >>> dependency_field(model, (2, 2)).astype(int)
        array([[1, 1, 1, 1, 1],
               [1, 1, 1, 1, 0],
               [0, 1, 1, 0, 0],
               [0, 0, 0, 0, 0],
               [0, 0, 0, 0, 0]])

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 2 and section 3, https://arxiv.org/abs/1601.06759
    """
    if not _has_graph(model) or len(model.inputs[0].shape) != 4:
        raise ValueError(
            f"`model` must be a functional keras.Model that takes maps of shape "
            f"(batch, height, width, channels), such as keras.Model(inputs, "
            f"layer(inputs)). Received: {model!r}"
        )
    shape = sized_image_shape(model, image_size, "dependency_field")
    check_pixel(pixel, shape[:2])
    check_positive_int("num_draws", num_draws, "dependency_field")
    generator = np.random.default_rng(seed)
    images, *others = model.inputs
    conditions = [tf.zeros([n or 1 for n in x.shape], x.dtype) for x in others]
    field = np.zeros(shape[:2], bool)
    for _ in range(num_draws):
        image = tf.constant(generator.normal(size=(1, *shape)), images.dtype)
        weights = random_weights(model, generator.integers(2**31))
        with weights, tf.GradientTape() as tape:
            tape.watch(image)
            outputs = forward_pass(model, image, conditions)
            if len(outputs.shape) < 4 or outputs.shape[1:3] != shape[:2]:
                raise ValueError(
                    f"`model` must return a map of the height and width of its input, "
                    f"{(1, *shape)}. Received: outputs of shape "
                    f"{tuple(outputs.shape)}"
                )
            outputs = outputs[0, pixel[0], pixel[1]]
            # With random factors, the influences on several outputs do not cancel. The
            # gradient is computed in this scope, since it may read weights too.
            factors = tf.constant(generator.normal(size=outputs.shape), outputs.dtype)
            gradient = tape.gradient(
                outputs, image, [factors], tf.UnconnectedGradients.ZERO
            )
        # It may be in `tf.IndexedSlices`.
        gradient = tf.convert_to_tensor(gradient).numpy()
        field |= (gradient[0] != 0).any(axis=-1)
    return field


def _has_graph(model: FunctionalModel) -> bool:
    """Return whether a model has symbolic inputs, which a user's own may not have."""
    is_function = isinstance(model, keras.Function) and isinstance(model, keras.Model)
    return is_function or (isinstance(model, keras.Sequential) and model.built)


def check_pixel(pixel: Sequence[int], size: Shape) -> None:
    """Raise unless `pixel` is `(row, column)` inside a map of `(height, width)`."""
    fits = len(pixel) == 2 and 0 <= pixel[0] < size[0] and 0 <= pixel[1] < size[1]
    if not fits:
        raise ValueError(
            f"`pixel` must be (row, column) inside a map of {size[0]} rows and "
            f"{size[1]} columns. Received: pixel={pixel}"
        )
