"""Which sub-pixels of an image a model lets influence which."""

import contextlib

import numpy as np
import tensorflow as tf

from keras_genimg.causality.changes import other_values
from keras_genimg.causality.random_weights import random_weights
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.image_inputs import check_shape
from keras_genimg.ops.checks import check_positive_int


def influence(
    model,
    images=None,
    seed=0,
    num_images=3,
    image_size=None,
    conditions=None,
    randomize=False,
    batch_size=64,
):
    """Return which sub-pixels change the parameters of which.

    Each sub-pixel of some images is changed in turn. The changed image is compared with
    the unchanged one at the same place of a batch of the same size, where all
    arithmetic is the same to the last bit: what differs is an influence, never
    rounding. Influences that float32 cannot hold go unseen, as they may in a recurrent
    layer over more than a dozen rows: try a smaller image or more images before you
    believe that one is missing.

    Args:
        model: An `AutoregressiveModel`.
        images: Images to change, in the likelihood's own range, `(images, height,
            width, colors)`. By default random ones. An influence that one image hides,
            behind a ReLU that is 0 for example, may show in another.
        seed: Seed of the random images, changes and weights.
        num_images: How many random images.
        image_size: `(height, width)`, for a model of any size without `images`.
        conditions: The model's further inputs, one row an image, as `generate` takes
            them.
        randomize: Whether to look at the graph rather than at the weights it has: each
            image meets random weights, biases and initial states. The model gets its
            own weights back, after an error too.
        batch_size: How many images to evaluate at a time.

    Returns:
        Boolean array of shape `(height, width, colors, height, width, colors)`: whether
        changing sub-pixel `[row, column, color]` changes the parameters of sub-pixel
        `[..., row, column, color]` for any of the images. Where the likelihood couples
        the colors of a pixel, which then have their parameters in common, `(height,
        width, height, width)`: whether changing any color of a pixel does.

    Raises:
        ValueError: If an argument is not as described, or the model returns numbers
            that are not finite.

    Example:
        >>> seen = influence(PixelCNN((4, 5, 1), 8, 2), randomize=True)
        >>> seen[0, 0, 0, 0].astype(int).tolist()
        [[0], [1], [1], [1], [1]]

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, sections 2 and 3.4, https://arxiv.org/abs/1601.06759
    """
    if not isinstance(model, AutoregressiveModel):
        raise ValueError(
            f"`model` must be an AutoregressiveModel; build one from the inputs and "
            f"outputs of a functional graph. Received: {type(model).__name__}"
        )
    check_positive_int("batch_size", batch_size, "influence")
    generator = np.random.default_rng(seed)
    if images is None:
        check_positive_int("num_images", num_images, "influence")
        shape = model.sized_image_shape(image_size, "influence")
        size = (num_images, *shape)
        images = generator.integers(model.likelihood.num_values, size=size)
    images = np.asarray(images)
    check_shape(images.shape, model, "influence")
    model.likelihood.check_images(images, "influence")
    if images.size == 0:
        raise ValueError(f"influence received no images: shape={images.shape}")
    conditions = model.condition_rows(conditions, len(images))

    @tf.function(autograph=False)
    def params(batch, conditions):
        return model([batch, *conditions] if conditions else batch, training=False)

    units = model.likelihood.unit_shape(images.shape[1:])
    seen = np.zeros((np.prod(units), np.prod(units)), bool)
    for index, image in enumerate(images):
        rows = [condition[index : index + 1] for condition in conditions]
        others = other_values(generator, image, model.likelihood.num_values)
        weights = contextlib.nullcontext()
        if randomize:
            weights = random_weights(model, generator.integers(2**31))
        with weights:
            seen |= _influence_in_image(model, params, image, others, rows, batch_size)
    return seen.reshape(*units, *units)


def _influence_in_image(model, params, image, others, conditions, batch_size):
    """Return which units of one image change which, both flattened.

    `params` is the model as a function of a batch and the conditions; `others` holds
    the value that each sub-pixel gets.
    """
    size = image.size
    num_units = int(np.prod(model.likelihood.unit_shape(image.shape)))
    batch_size = min(batch_size, size)
    conditions = [
        tf.constant(np.repeat(row, batch_size, axis=0), tensor.dtype)
        for row, tensor in zip(conditions, model.inputs[1:], strict=True)
    ]

    def evaluate(batch):
        batch = tf.constant(batch.reshape(batch_size, *image.shape), tf.float32)
        values = params(batch, conditions).numpy().reshape(batch_size, num_units, -1)
        if not np.isfinite(values).all():
            raise ValueError(f"{model.name} returned numbers that are not finite.")
        return values

    same = np.repeat(image.reshape(1, size), batch_size, axis=0)
    before = evaluate(same)
    seen = np.zeros((size, num_units), bool)
    for start in range(0, size, batch_size):
        i = np.arange(start, min(start + batch_size, size))
        changed = same.copy()
        changed[i - start, i] = others.ravel()[i]
        seen[i] = (evaluate(changed) != before).any(axis=-1)[: len(i)]
    # The sub-pixels of a unit together.
    return seen.reshape(num_units, -1, num_units).any(axis=1)
