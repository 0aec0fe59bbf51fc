"""Check of a network before its first number, made once for each size."""

from keras_genimg.causality.probing import check_causal
from keras_genimg.inputs.function_cache import LayerVersion, UntilChange
from keras_genimg.model_types import PixelModel
from keras_genimg.types import Shape


class CausalCheck:
    """Checks that a network is causal, once for each size until its layers change.

    Args:
        model: An `AutoregressiveModel` that samples in raster order.
        version: The `LayerVersion` of the model.
    """

    def __init__(self, model: PixelModel, version: LayerVersion):
        self._model = model
        self._passed: UntilChange[tuple[tuple[int, ...], bool], bool]
        self._passed = UntilChange(version)

    def __call__(self, image_shape: Shape, training: bool = False) -> None:
        """Raise an error unless the network is causal.

        Args:
            image_shape: `(height, width, colors)`.
            training: Whether to check the forward pass of training too.
        """
        shape = tuple(image_shape)
        for in_training in (False, True) if training else (False,):
            passed = self._passed.entries()
            if (shape, in_training) not in passed:
                check_causal(self._model, shape, in_training)
                passed[shape, in_training] = True
