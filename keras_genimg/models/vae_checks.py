"""Checks of the arguments of `VAE`."""

import keras

from keras_genimg.ops.checks import check_positive_int


def checked_units(hidden_units):
    """Return units of one hidden layer, or of several as a tuple.

    Raises:
        ValueError: If they are no positive integers.
    """
    if isinstance(hidden_units, (list, tuple)) and hidden_units:
        return _checked_counts("hidden_units", hidden_units)
    return check_positive_int("hidden_units", hidden_units, "VAE")


def checked_stages(conv_filters, image_shape):
    """Return the filters of all stages as a tuple, if the image can be halved so often.

    Raises:
        ValueError: If it cannot, or the filters are no sequence of positive integers.
    """
    if not isinstance(conv_filters, (list, tuple)):
        raise ValueError(
            "`conv_filters` of VAE must be a list with the channels of each stage, "
            f"such as (16, 32). Received: conv_filters={conv_filters!r}"
        )
    conv_filters = _checked_counts("conv_filters", conv_filters)
    multiple = 2 ** len(conv_filters)
    if any(side % multiple for side in image_shape[:2]):
        raise ValueError(
            "Each stage of `conv_filters` of VAE halves height and width, so both must "
            f"be multiples of {multiple}. Use fewer stages, or images of another size. "
            f"Received: conv_filters={conv_filters}, image_shape={image_shape}"
        )
    return conv_filters


def check_activation(activation):
    """Raise an error unless Keras has an activation of this name."""
    try:
        known = isinstance(activation, str) and keras.activations.get(activation)
    except ValueError:
        known = False
    if not known:
        raise ValueError(
            "`activation` of VAE must be the name of a Keras activation, such as "
            f"'tanh' or 'elu'. Received: activation={activation!r}"
        )


def check_used(conv_filters, activation, encoder, decoder):
    """Raise an error if custom parts leave no layer for these arguments."""
    if encoder is None or decoder is None:
        return
    if conv_filters or activation != "tanh":
        raise ValueError(
            "`conv_filters` and `activation` of VAE apply to the default encoder and "
            "decoder, and both are custom. Build the layers into them. Received: "
            f"conv_filters={conv_filters}, activation={activation!r}"
        )


def check_parts(encoder, decoder, image_shape, latent_dim):
    """Raise an error unless encoder and decoder take images and latent vectors."""
    expected = {"encoder": (encoder, image_shape), "decoder": (decoder, (latent_dim,))}
    for name, (part, shape) in expected.items():
        inputs = getattr(part, "inputs", None) or []
        fits = isinstance(part, keras.Model) and len(inputs) == 1
        if not fits or tuple(inputs[0].shape[1:]) != shape:
            received = [tuple(tensor.shape) for tensor in inputs] if inputs else part
            raise ValueError(
                f"`{name}` of VAE must be a functional model with one input of shape "
                f"{(None, *shape)}. Received: {received!r}"
            )
    if len(decoder.outputs) != 1 or len(encoder.outputs) != 1:
        raise ValueError(
            f"`encoder` and `decoder` of VAE must have one output each. Received: "
            f"{len(encoder.outputs)} and {len(decoder.outputs)}"
        )


def checked_weights(weight_stddev, weight_prior, encoder, decoder):
    """Return `weight_prior` as an integer, if there is one.

    Raises:
        ValueError: If it or `weight_stddev` is invalid, or there is a prior for the
            weights of a custom encoder or decoder.
    """
    if weight_stddev is not None and not weight_stddev >= 0:
        raise ValueError(
            f"`weight_stddev` of VAE must be at least 0. Received: "
            f"weight_stddev={weight_stddev!r}"
        )
    if weight_prior is not None:
        weight_prior = check_positive_int("weight_prior", weight_prior, "VAE")
        if encoder is not None or decoder is not None:
            raise ValueError(
                "`weight_prior` of VAE applies only to the default encoder and "
                "decoder. In custom ones, use the regularizer "
                "keras.regularizers.L2(0.5 / num_images) in all layers. Received: "
                f"weight_prior={weight_prior}"
            )
    return weight_prior


def _checked_counts(name, counts):
    """Return a sequence of positive integers as a tuple."""
    return tuple(check_positive_int(name, count, "VAE") for count in counts)
