"""Functional graphs of autoregressive networks."""

from collections.abc import Callable

import keras
from keras import layers

from keras_genimg.layers import MaskedConv2D
from keras_genimg.likelihoods import Likelihood
from keras_genimg.networks.heads import centered, head_layers, with_head
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.types import Policy, SymbolicTensor


def pixel_stack(
    images: SymbolicTensor,
    make_layer: Callable[..., keras.Layer],
    depth: int,
    filters: int,
    likelihood: Likelihood,
    *,
    condition: SymbolicTensor | None = None,
    head_filters: int = 32,
    num_head_layers: int = 2,
    first_kernel_size: int = 7,
    skip: bool = True,
    whole_rows: bool = False,
    dtype: Policy | None = None,
) -> SymbolicTensor:
    """Return a likelihood's parameters, computed by a stack of causal layers.

    Images are scaled to -1..1 and read by a convolution with mask `"A"`, followed by
    the layers of the stack. With skip connections, each of these is also connected to
    the head. The head consists of 1×1 convolutions, each after a ReLU.

    Args:
        images: `keras.Input` of images in the likelihood's own range, `(batch, height,
            width, colors)`.
        make_layer: Function of the keyword arguments `name`, `num_colors` and `dtype`
            that returns a layer of the stack; `num_colors` is 1 if the likelihood
            couples the colors of a pixel. The layer takes a map, and the condition if
            there is one, and returns a map.
        depth: Number of layers, at least 1.
        filters: Channels of the first convolution and of the skip connections.
        likelihood: `Likelihood` of the images.
        condition: Symbolic map `(batch, height or 1, width or 1, depth)`, an input of
            every layer of the stack, or None.
        head_filters: Channels of the head.
        num_head_layers: Number of convolutions in the head.
        first_kernel_size: Odd size of the first convolution in pixels.
        skip: Whether every layer is connected to the head.
        whole_rows: Whether a second first convolution adds what it sees of the whole
            row above, for images of a known width.
        dtype: Dtype policy of the layers; the parameters are float32.

    Returns:
        Symbolic parameters, float32, of `likelihood.params_shape` after the batch.

    Raises:
        ValueError: If `depth` is not an integer of at least 1, or a layer rejects its
            arguments.

    Example:
        >>> images = keras.Input((28, 28, 1))
        >>> logits = pixel_stack(
        ...     images, functools.partial(DiagonalBiLSTM, 16), 7, 32, Bernoulli()
        ... )
        >>> model = AutoregressiveModel(images, logits, "bernoulli")

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, section 3 and table 1, https://arxiv.org/abs/1601.06759
    """
    depth = check_positive_int("depth", depth, "pixel_stack")
    num_colors = images.shape[-1]
    masked = {"num_colors": likelihood.mask_colors(num_colors), "dtype": dtype}

    # Layers. All but the last are made before the graph: under a global seed, initial
    # weights depend on the order in which layers are made.
    first = MaskedConv2D(
        filters, first_kernel_size, "A", name="first_convolution", **masked
    )
    above = None
    if whole_rows:
        width = images.shape[2]
        if width is None:
            raise ValueError(
                f"`whole_rows` of pixel_stack needs images of a known width, which is "
                f"the size of a kernel. Received: images of shape {images.shape}"
            )
        # Wide enough that each pixel sees the row above from end to end.
        kernel_size = (3, 2 * width - 1)
        above = MaskedConv2D(filters, kernel_size, "A", name="row_above", **masked)
    stack = [make_layer(name=f"layer_{index}", **masked) for index in range(depth)]
    skips = [
        MaskedConv2D(filters, 1, "B", name=f"skip_{index}", **masked)
        for index in range(depth if skip else 0)
    ]
    head = head_layers(head_filters, num_head_layers, **masked)

    scaled = centered(images, likelihood)
    x = first(scaled)
    if above is not None:
        x = layers.Add(name="with_row_above", dtype=dtype)([x, above(scaled)])
    skipped = []
    for index, layer in enumerate(stack):
        x = layer(x) if condition is None else layer(x, condition)
        if skip:
            skipped.append(skips[index](x))
    if skip:
        x = skipped[0]
        if depth > 1:
            x = layers.Add(name="skips", dtype=dtype)(skipped)
    return with_head(x, head, likelihood, num_colors, dtype)
