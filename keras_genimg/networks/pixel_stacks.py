"""Networks of autoregressive models, from the images to a likelihood's parameters."""

import math
from collections.abc import Callable, Sequence

import keras
from keras import layers

from keras_genimg.layers import (
    GatedHorizontalConv,
    GatedVerticalConv,
    MaskedConv2D,
    SplitColors,
)
from keras_genimg.likelihoods import Likelihood
from keras_genimg.ops.checks import check_int, check_positive_int
from keras_genimg.types import Policy, SymbolicTensor


def condition_input(
    num_classes: int | dict[str, int] | None,
    condition_shape: Sequence[int | None] | None,
    units: int,
    dtype: Policy | None = None,
) -> tuple[list[SymbolicTensor], SymbolicTensor | None]:
    """Return the inputs of a condition, and the condition map for the layers.

    Args:
        num_classes: Number of classes, for an int32 input `"label"` of shape `(batch,)`
            with a learned embedding; or a dict of such numbers by the name of their
            input, whose embeddings are added; or None.
        condition_shape: `(height or 1, width or 1, depth)`, for an input `"condition"`
            that is used as it is; or None.
        units: Size of the embedding of a class.
        dtype: Dtype policy of the embedding.

    Returns:
        List of the inputs; and the condition, `(batch, 1, 1, units)` or
        `(batch, *condition_shape)`, or None if both are None.
    """
    if num_classes is not None:
        inputs, embedded = [], []
        for input_name, count in classes_by_input(num_classes).items():
            label = keras.Input((), dtype="int32", name=input_name)
            name = "class" if input_name == "label" else input_name
            embedding = layers.Embedding(
                count, units, name=f"{name}_embedding", dtype=dtype
            )
            inputs.append(label)
            embedded.append(embedding(label))
        as_image = layers.Reshape((1, 1, units), name="class_image", dtype=dtype)
        return inputs, as_image(_added(embedded, "classes", dtype))
    if condition_shape is not None:
        condition = keras.Input(condition_shape, name="condition")
        return [condition], condition
    return [], None


def classes_by_input(num_classes: int | dict[str, int]) -> dict[str, int]:
    """Return the number of classes by the name of their input.

    Args:
        num_classes: See `condition_input`.
    """
    return num_classes if isinstance(num_classes, dict) else {"label": num_classes}


def centered(
    images: SymbolicTensor, likelihood: Likelihood, name: str = "center"
) -> SymbolicTensor:
    """Return images scaled to -1..1, so that the zeros of a padding are no pixel value.

    Args:
        images: Images in the likelihood's own range, `(batch, height, width, colors)`.
        likelihood: `Likelihood` of the images.
        name: Name of the layer.

    Returns:
        A symbolic float32 tensor of the same shape.
    """
    scale = 2 / likelihood.max_value
    return layers.Rescaling(scale, -1, name=name, dtype="float32")(images)


def make_head(
    likelihood: Likelihood,
    num_colors: int,
    filters: int,
    num_layers: int,
    dtype: Policy | None,
) -> Callable[[SymbolicTensor], SymbolicTensor]:
    """Return a function that computes a likelihood's parameters by 1×1 convolutions.

    Each convolution comes after a ReLU. All but the last are made at once, not when the
    function is called.

    Args:
        likelihood: `Likelihood` of the images.
        num_colors: Number of colors of the images.
        filters: Channels of all convolutions but the last.
        num_layers: Number of these convolutions.
        dtype: Dtype policy of all layers but the last.

    Returns:
        Function of symbolic features, `(batch, height, width, channels)`, that returns
        symbolic parameters, float32, of `likelihood.params_shape` after the batch.
    """
    colors = likelihood.mask_colors(num_colors)
    # Names are explicit, since default names contain a process-wide counter.
    convolutions = [
        MaskedConv2D(filters, 1, "B", colors, name=f"head_{index}", dtype=dtype)
        for index in range(num_layers)
    ]

    def head(x):
        for layer in convolutions:
            x = layer(layers.ReLU(name=f"{layer.name}_relu", dtype=dtype)(x))
        x = layers.ReLU(name="logits_relu", dtype=dtype)(x)
        return likelihood_head(x, likelihood, num_colors)

    return head


def likelihood_head(
    x: SymbolicTensor, likelihood: Likelihood, num_colors: int
) -> SymbolicTensor:
    """Return a likelihood's parameters, computed from a causal network's features.

    The likelihood provides the last layers of the network, see `Likelihood.head`: by
    default a 1×1 convolution `"logits"`, followed by `"split_colors"` if each color has
    several parameters.

    Args:
        x: Symbolic features, `(batch, height, width, channels)`.
        likelihood: `Likelihood` of the images.
        num_colors: Number of colors of the images. Earlier layers must have
            `num_colors=likelihood.mask_colors(num_colors)`.

    Returns:
        Symbolic parameters, float32, of `likelihood.params_shape` after the batch.
    """
    mask_colors = likelihood.mask_colors(num_colors)

    def convolve(x, shape):
        x = MaskedConv2D(
            math.prod(shape), 1, "B", mask_colors, name="logits", dtype="float32"
        )(x)
        if len(shape) == 1:
            return x
        return SplitColors(shape[0], name="split_colors", dtype="float32")(x)

    return likelihood.head(x, num_colors, convolve)


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
    first = [
        MaskedConv2D(
            filters, first_kernel_size, "A", name="first_convolution", **masked
        )
    ]
    if whole_rows:
        width = images.shape[2]
        if width is None:
            raise ValueError(
                f"`whole_rows` of pixel_stack needs images of a known width, which is "
                f"the size of a kernel. Received: images of shape {images.shape}"
            )
        # The kernel is so wide that each pixel sees the row above from end to end.
        size = (3, 2 * width - 1)
        first.append(MaskedConv2D(filters, size, "A", name="row_above", **masked))
    stack = [make_layer(name=f"layer_{index}", **masked) for index in range(depth)]
    skips = [
        MaskedConv2D(filters, 1, "B", name=f"skip_{index}", **masked)
        for index in range(depth if skip else 0)
    ]
    head = make_head(likelihood, num_colors, head_filters, num_head_layers, dtype)

    scaled = centered(images, likelihood)
    conditions = [] if condition is None else [condition]
    x = _added([layer(scaled) for layer in first], "with_row_above", dtype)
    maps = []
    for layer in stack:
        x = layer(x, *conditions)
        maps.append(x)
    if skip:
        maps = [layer(each) for layer, each in zip(skips, maps, strict=True)]
        x = _added(maps, "skips", dtype)
    return head(x)


def _added(maps, name, dtype):
    """Return the sum of maps, or a single map itself."""
    return layers.Add(name=name, dtype=dtype)(maps) if len(maps) > 1 else maps[0]


def gated_pixel_stack(
    images: SymbolicTensor,
    units: int,
    depth: int,
    likelihood: Likelihood,
    *,
    condition: SymbolicTensor | None = None,
    head_filters: int = 32,
    num_head_layers: int = 2,
    kernel_size: int = 3,
    first_kernel_size: int = 7,
    dtype: Policy | None = None,
) -> SymbolicTensor:
    """Return a likelihood's parameters, computed by two stacks of gated convolutions.

    Images are scaled to -1..1 and read by a layer with mask `"A"` in each stack,
    followed by `depth` layers with mask `"B"`. The vertical stack sees the rows above a
    pixel. Each of its layers is connected to the layer of the horizontal stack at the
    same depth, which also sees the pixel's own row. The head consists of 1×1
    convolutions, each after a ReLU, on the last map of the horizontal stack.

    The network sees every earlier pixel if its layers reach the sides of the image: to
    the left and right of a pixel, and above it, the field ends after `first_kernel_size
    // 2 + depth * (kernel_size // 2)` pixels.

    Args:
        images: `keras.Input` of images in the likelihood's own range, `(batch, height,
            width, colors)`.
        units: Channels of a gate.
        depth: Number of layers of each stack after the first, at least 0.
        likelihood: `Likelihood` of the images.
        condition: Symbolic map `(batch, height or 1, width or 1, depth)`, an input of
            every layer of both stacks, or None.
        head_filters: Channels of the head.
        num_head_layers: Number of convolutions in the head.
        kernel_size: Odd width of all kernels but the first ones, in pixels.
        first_kernel_size: Odd width of the first kernel of each stack.
        dtype: Dtype policy of the layers; the parameters are float32.

    Returns:
        Symbolic parameters, float32, of `likelihood.params_shape` after the batch.

    Raises:
        ValueError: If `depth` is not an integer of at least 0, or a layer rejects its
            arguments.

    Example:
        >>> images = keras.Input((28, 28, 1))
        >>> logits = gated_pixel_stack(images, 32, 7, Bernoulli())
        >>> model = AutoregressiveModel(images, logits, "bernoulli")

    References:
        van den Oord et al., Conditional Image Generation with PixelCNN Decoders, 2016,
        section 2 and figure 2, https://arxiv.org/abs/1606.05328
    """
    depth = check_int("depth", depth, "gated_pixel_stack", smallest=0)
    num_colors = images.shape[-1]
    mask_colors = likelihood.mask_colors(num_colors)

    # Layers. All but the last are made before the graph: under a global seed, initial
    # weights depend on the order in which layers are made.
    arguments = [(units, first_kernel_size, "A"), *depth * [(units, kernel_size, "B")]]
    vertical_stack = [
        GatedVerticalConv(*each, name=f"vertical_{index}", dtype=dtype)
        for index, each in enumerate(arguments)
    ]
    horizontal_stack = [
        GatedHorizontalConv(*each, mask_colors, name=f"horizontal_{index}", dtype=dtype)
        for index, each in enumerate(arguments)
    ]
    head = make_head(likelihood, num_colors, head_filters, num_head_layers, dtype)

    x = centered(images, likelihood)
    conditions = [] if condition is None else [condition]
    above = x
    for vertical, horizontal in zip(vertical_stack, horizontal_stack, strict=True):
        above = vertical(above, *conditions)
        x = horizontal(x, above, *conditions)
    return head(x)
