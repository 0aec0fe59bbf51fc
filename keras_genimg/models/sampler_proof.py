"""Comparison of what a sampler drew with the forward pass."""

import tensorflow as tf

from keras_genimg.models.function_cache import FunctionCache
from keras_genimg.ops.fingerprint import weights_fingerprint
from keras_genimg.sampling import check_difference
from keras_genimg.sampling.difference import difference_of_params


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
