"""Find a preset by its name."""

from keras_genimg.models.draw import DRAW
from keras_genimg.models.gated_pixel_cnn import GatedPixelCNN
from keras_genimg.models.generative_model import GenerativeModel
from keras_genimg.models.multi_scale_pixel_rnn import MultiScalePixelRNN
from keras_genimg.models.pixel_cnn import PixelCNN
from keras_genimg.models.pixel_rnn import PixelRNN
from keras_genimg.models.vae import VAE

FAMILIES = (PixelCNN, GatedPixelCNN, PixelRNN, MultiScalePixelRNN, DRAW, VAE)


def find_preset(name: str) -> tuple[type[GenerativeModel], str]:
    """Return the class and the name of a preset, as command lines name them.

    Args:
        name: `FAMILY/NAME`, such as `PixelRNN/mnist_diagonal_1x32`, or NAME alone if
            only one family has it.

    Raises:
        ValueError: If there is no such preset, or several families have it.
    """
    family, _, preset = name.rpartition("/")
    found = [
        each
        for each in FAMILIES
        if preset in each.presets and family in ("", each.__name__)
    ]
    if len(found) == 1:
        return found[0], preset
    known = [
        f"{each.__name__}/{preset}" for each in FAMILIES for preset in each.presets
    ]
    problem = "several families have" if found else "no family has"
    raise ValueError(
        f"Expected a preset, but {problem} {preset!r}. Known presets: "
        f"{', '.join(known)}. Received: {name!r}"
    )
