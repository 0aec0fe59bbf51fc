"""What PixelCNN and PixelRNN have in common."""

import keras
from keras import layers

from keras_genimg import likelihoods
from keras_genimg.layers import MaskedConv2D, SplitColors
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.ops.checks import check_odd, check_positive_int


class PixelNetwork(AutoregressiveModel):
    """Base of the paper's networks: first convolution, stack, skips and head.

    A subclass implements `make_stack_layer`.
    """

    def __init__(
        self,
        image_shape,
        units,
        depth,
        make_stack_layer,
        head_filters,
        num_head_layers,
        likelihood,
        first_kernel_size,
        skip,
        num_classes,
        condition_shape,
        dtype,
        **kwargs,
    ):
        owner = type(self).__name__
        image_shape = tuple(image_shape)
        if len(image_shape) != 3 or image_shape[-1] is None:
            raise ValueError(
                f"`image_shape` of {owner} must be (height, width, colors). Received: "
                f"image_shape={image_shape}"
            )
        num_colors = check_positive_int("colors", image_shape[-1], owner)
        units = check_positive_int("units", units, owner)
        head_filters = check_positive_int("head_filters", head_filters, owner)
        first_kernel_size = check_odd(
            "first_kernel_size", first_kernel_size, owner, smallest=3
        )
        likelihood = likelihoods.get(likelihood)
        if num_classes is not None and condition_shape is not None:
            raise ValueError(
                f"{owner} takes `num_classes` or `condition_shape`, not both. "
                f"Received: num_classes={num_classes}, "
                f"condition_shape={condition_shape}"
            )
        masked = {"num_colors": num_colors, "dtype": dtype}

        # Layers.
        first = MaskedConv2D(
            2 * units, first_kernel_size, "A", name="first_convolution", **masked
        )
        stack = [
            make_stack_layer(name=f"layer_{index}", **masked) for index in range(depth)
        ]
        skips = [
            MaskedConv2D(2 * units, 1, "B", name=f"skip_{index}", **masked)
            for index in range(depth if skip else 0)
        ]
        head = [
            MaskedConv2D(head_filters, 1, "B", name=f"head_{index}", **masked)
            for index in range(num_head_layers)
        ]
        logits = MaskedConv2D(
            num_colors * likelihood.params_size,
            1,
            "B",
            num_colors,
            name="logits",
            dtype="float32",
        )

        # Functional graph.
        images = keras.Input(image_shape, name="images")
        condition, condition_inputs = None, []
        if num_classes is not None:
            num_classes = check_positive_int("num_classes", num_classes, owner)
            label = keras.Input((), dtype="int32", name="label")
            embedding = layers.Embedding(
                num_classes, units, name="class_embedding", dtype=dtype
            )
            as_image = layers.Reshape((1, 1, units), name="class_image", dtype=dtype)
            condition = as_image(embedding(label))
            condition_inputs = [label]
        elif condition_shape is not None:
            condition = keras.Input(condition_shape, name="condition")
            condition_inputs = [condition]
        # Scaled and centred, so that a zero of the padding is no pixel value.
        scale = 2 / likelihood.max_value
        x = layers.Rescaling(scale, -1, name="centre", dtype="float32")(images)
        x = first(x)
        skipped = []
        for index, layer in enumerate(stack):
            x = layer(x) if condition is None else layer(x, condition)
            if skip:
                skipped.append(skips[index](x))
        if skip:
            x = (
                layers.Add(name="skips", dtype=dtype)(skipped)
                if depth > 1
                else skipped[0]
            )
        # Named, since Keras' own names count the layers of the process.
        for layer in (*head, logits):
            x = layer(layers.ReLU(name=f"{layer.name}_relu", dtype=dtype)(x))
        if likelihood.params_size > 1:
            x = SplitColors(num_colors, name="split_colors", dtype="float32")(x)
        inputs = [images, *condition_inputs] if condition_inputs else images
        super().__init__(inputs, x, likelihood, **kwargs)

        # Configuration.
        if dtype is not None:
            self.dtype_policy = keras.dtype_policies.get(dtype)
        self.units = units
        self.head_filters = head_filters
        self.num_head_layers = num_head_layers
        self.first_kernel_size = first_kernel_size
        self.skip = skip
        self.num_classes = num_classes
        self.condition_shape = condition_shape

    @property
    def condition_ranges(self):
        return {} if self.num_classes is None else {"label": (0, self.num_classes - 1)}

    def get_config(self):
        return {
            "name": self.name,
            "trainable": self.trainable,
            "dtype": keras.dtype_policies.serialize(self.dtype_policy),
            "likelihood": keras.saving.serialize_keras_object(self.likelihood),
            "image_shape": self.image_shape,
            "units": self.units,
            "head_filters": self.head_filters,
            "num_head_layers": self.num_head_layers,
            "first_kernel_size": self.first_kernel_size,
            "skip": self.skip,
            "num_classes": self.num_classes,
            "condition_shape": self.condition_shape,
        }
