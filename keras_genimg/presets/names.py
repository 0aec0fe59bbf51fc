"""Find a preset by its name."""

from keras_genimg.presets import settings

# Presets by the name of the model's class.
FAMILIES = {
    "PixelCNN": settings.PIXEL_CNN,
    "GatedPixelCNN": settings.GATED_PIXEL_CNN,
    "PixelRNN": settings.PIXEL_RNN,
    "MultiScalePixelRNN": settings.MULTI_SCALE_PIXEL_RNN,
    "DRAW": settings.DRAW,
    "VAE": settings.VAE,
}


def find_preset(name: str) -> tuple[str, str]:
    """Return the class and the name of a preset, as command lines name them.

    Args:
        name: `FAMILY/NAME`, such as `PixelRNN/mnist_diagonal_1x32`, or NAME alone if
            only one family has it.

    Returns:
        Name of the class in `keras_genimg.models`, and of its preset.

    Raises:
        ValueError: If there is no such preset, or several families have it.
    """
    family, _, preset = name.rpartition("/")
    found = [
        each
        for each, presets in FAMILIES.items()
        if preset in presets and family in ("", each)
    ]
    if len(found) == 1:
        return found[0], preset
    known = [f"{each}/{one}" for each, presets in FAMILIES.items() for one in presets]
    problem = "several families have" if found else "no family has"
    raise ValueError(
        f"Expected a preset, but {problem} {preset!r}. Known presets: "
        f"{', '.join(known)}. Received: {name!r}"
    )
