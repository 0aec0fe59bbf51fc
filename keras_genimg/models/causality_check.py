"""The causality probe of a model, once for each set of weights."""

import warnings

from keras_genimg.causality import probe
from keras_genimg.ops.fingerprint import weights_fingerprint


class CausalityCheck:
    """Probes whether a model is causal, and remembers the weights that passed.

    `model.check_causality = False` switches it off.

    Args:
        model: An `AutoregressiveModel`.
    """

    def __init__(self, model):
        self._model = model
        # By image shape: the fingerprint of the weights that passed.
        self._passed = {}

    @property
    def has_passed(self):
        """Whether the model has passed once, whatever its weights are now."""
        return bool(self._passed)

    def run(self, image_shape, fingerprint=None, also=()):
        """Raise if a sub-pixel sees itself or a later one, as far as a probe can tell.

        Args:
            image_shape: `(height, width, colors)`; None for a size that is not known.
            fingerprint: Of the weights, see `weights_fingerprint`; taken if left out.
            also: Inputs to evaluate in the probe's forward pass, as tensors.

        Returns:
            The model's output for `also`; None if the probe did not run, because these
            weights have passed or the check is off.

        Raises:
            ValueError: If the model is not causal. The text names the layer where it
                can.
        """
        model = self._model
        if not model.check_causality:
            return None
        if fingerprint is None:
            fingerprint = weights_fingerprint(model.weights)
        if self._passed.get(image_shape) == fingerprint:
            return None
        try:
            leak, params = probe(model, image_shape, also)
        except Exception as error:  # Conditions were a bad guess, for example.
            leak = params = None
            warnings.warn(
                f"Could not check whether {model.name} is causal: it fails on random "
                f"images and conditions ({type(error).__name__}). Check it with "
                f"keras_genimg.testing.assert_causal(model, images, conditions=...), "
                f"then set `check_causality = False` on the model.",
                stacklevel=2,
            )
        if leak is not None:
            raise ValueError(
                f"{model.name} is not causal, so it learns to copy pixels that it will "
                f"not have when it draws. {leak} If this is intended, switch the check "
                f"off with `check_causality = False` on the model."
            )
        self._passed[image_shape] = fingerprint
        return params
