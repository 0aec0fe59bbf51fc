"""Refusal of models whose pixels see themselves, later ones or other images."""

import warnings

from keras_genimg.causality import first_leak
from keras_genimg.causality.image_pairs import cost_of_image

# Operations a forward pass of one image, from which on the proof may take over 15 s.
_SLOW = 1e11


def check_causal(model, image_shape):
    """Raise an error unless a model is causal, see `first_leak`.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, with None for unknown sizes.

    Raises:
        ValueError: If the model is not causal. The error names the layer, if found.
    """
    cost = cost_of_image(model, [size or 1 for size in image_shape])
    if cost > _SLOW:
        text = f"{model.name}: the graph is proven once, which may take a minute."
        print(text, flush=True)
    try:
        leak = first_leak(model, image_shape)
    except Exception as error:  # For example, the guessed conditions were invalid.
        warnings.warn(
            f"Could not check whether {model.name} is causal: it fails on random "
            f"images and conditions ({type(error).__name__}). Check it with "
            f"keras_genimg.causality.assert_causal(model, images, conditions=...), "
            f"then set `check_causality = False` on the model.",
            stacklevel=2,
        )
        return
    if leak is None:
        return
    result = "it learns to copy pixels that are not available during generation"
    if leak.kind == "batch":
        result = "no image of it can be reproduced"
    raise ValueError(
        f"{model.name} is not causal, so {result}. {leak} If this is intended, turn "
        f"the check off with `check_causality = False` on the model."
    )
