"""Functional graph of the Gated PixelCNN."""

from keras_genimg.layers import GatedHorizontalConv, GatedVerticalConv
from keras_genimg.likelihoods import Likelihood
from keras_genimg.networks.heads import centered, head_layers, with_head
from keras_genimg.ops.checks import check_int
from keras_genimg.types import Policy, SymbolicTensor


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
    masked = {"num_colors": mask_colors, "dtype": dtype}

    # Layers. All but the last are made before the graph: under a global seed, initial
    # weights depend on the order in which layers are made.
    arguments = [(units, first_kernel_size, "A"), *depth * [(units, kernel_size, "B")]]
    vertical_stack = [
        GatedVerticalConv(*each, name=f"vertical_{index}", dtype=dtype)
        for index, each in enumerate(arguments)
    ]
    horizontal_stack = [
        GatedHorizontalConv(*each, name=f"horizontal_{index}", **masked)
        for index, each in enumerate(arguments)
    ]
    head = head_layers(head_filters, num_head_layers, **masked)

    x = centered(images, likelihood)
    conditions = [] if condition is None else [condition]
    above = x
    for vertical, horizontal in zip(vertical_stack, horizontal_stack, strict=True):
        above = vertical(above, *conditions)
        x = horizontal(x, above, *conditions)
    return with_head(x, head, likelihood, num_colors, dtype)
