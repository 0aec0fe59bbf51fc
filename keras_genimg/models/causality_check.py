"""The causality probe of a model, which runs once for given weights."""

import warnings

from keras_genimg.causality import probe
from keras_genimg.ops.fingerprint import weights_fingerprint


class CausalityCheck:
    """Probe of a model's causality that remembers the weights that passed.

    `model.check_causality = False` turns it off.

    Args:
        model: An `AutoregressiveModel`.
    """

    def __init__(self, model):
        self._model = model
        # By image shape: the fingerprint of the weights that passed.
        self._passed = {}

    @property
    def has_passed(self):
        """Whether the model has ever passed, with any weights."""
        return bool(self._passed)

    def run(self, image_shape, fingerprint=None, also=()):
        """Raise if the probe finds a sub-pixel that sees itself or a later one.

        Args:
            image_shape: `(height, width, colors)`, with None for unknown sizes.
            fingerprint: Fingerprint of the weights; by default computed by
                `weights_fingerprint`.
            also: Inputs to evaluate in the probe's forward pass, as tensors.

        Returns:
            The model's output for `also`; None if the probe did not run, because the
            check is off or these weights have already passed.

        Raises:
            ValueError: If the model is not causal. The error names the layer, if found.
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
        except Exception as error:  # For example, the guessed conditions were invalid.
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
                f"{model.name} is not causal, so it learns to copy pixels that are not "
                f"available during generation. {leak} If this is intended, turn the "
                f"check off with `check_causality = False` on the model."
            )
        self._passed[image_shape] = fingerprint
        return params
