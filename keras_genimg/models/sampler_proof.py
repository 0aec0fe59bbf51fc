"""Comparison of what a sampler drew with the forward pass."""

import tensorflow as tf

from keras_genimg.models.function_cache import FunctionCache
from keras_genimg.ops.fingerprint import weights_fingerprint
from keras_genimg.sampling import first_disagreement, tolerance
from keras_genimg.sampling.difference import difference_of_params
from keras_genimg.sampling.tolerance import FLOAT32_TOLERANCE


class SamplerProof:
    """Checks the sampler of a model against its forward pass.

    A layer of another package may have a `step` that disagrees with its `call`, or be
    called pointwise without being so. The parameters that one image was drawn from show
    it: a forward pass over the image must give the same. It is done once for a sampler
    and the weights as they are, since weights of zero may hide a fault.
    """

    def __init__(self):
        self._proven = {}
        self._forward = FunctionCache()

    def check_drawn(self, key, model, image, params, conditions):
        """Raise unless a drawn image was drawn from the parameters of a forward pass.

        Args:
            key: Key of the sampler.
            model: An `AutoregressiveModel`.
            image: The image, float32 `(1, height, width, colors)`.
            params: The parameters that it was drawn from.
            conditions: Its conditions, of one row each.

        Raises:
            ValueError: With the first layer that disagrees, if it is found.
        """
        fingerprint = weights_fingerprint(model.weights)
        if self._proven.get(key) == fingerprint:
            return
        functions = self._forward.functions(model)
        if "forward" not in functions:
            functions["forward"] = tf.function(
                lambda inputs: model(inputs, training=False), autograph=False
            )
        inputs = [image, *conditions] if conditions else image
        difference = difference_of_params(params, functions["forward"](inputs))
        check_difference(model, difference, image, conditions)
        self._proven[key] = fingerprint


def check_difference(model, difference, images, conditions=()):
    """Raise if a difference to the forward pass is more than rounding explains.

    Args:
        model: An `AutoregressiveModel`.
        difference: What `sampler_difference` returned for `images`.
        images: Float32 images, `(batch, height, width, colors)`.
        conditions: The model's inputs besides the images.

    Raises:
        ValueError: With the first layer that disagrees, if it is found.
    """
    largest = float(tf.reduce_max(difference))
    # Most often it is far below, so that half precision needs no second model.
    if largest <= FLOAT32_TOLERANCE:
        return
    limit = tolerance(model, images, conditions)
    if largest <= limit:
        return
    layer = first_disagreement(model, images, conditions)
    where = ""
    if layer is not None:
        where = (
            f" The first layer that disagrees is {type(layer).__name__} "
            f"'{layer.name}': its methods for the sampler (see "
            f"keras_genimg.layers.CausalLayer) do not give what its `call` gives."
        )
    raise ValueError(
        f"The incremental sampler of {model.name} does not compute what the model "
        f"computes, so its images would be wrong: parameters of a pixel differ by "
        f"{largest:.2g} of the largest, where rounding explains {limit:.2g}.{where} "
        f"Mend the layer, or draw with method='ancestral'."
    )
