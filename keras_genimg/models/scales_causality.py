"""The causality probe of a model of several scales."""


class ScalesCausalityCheck:
    """Probes of the networks of a `MultiScalePixelRNN`, scale by scale.

    The small image is the same for both images of a pair, see `CausalityCheck`.
    `model.check_causality = False` turns all of them off.

    Args:
        model: A `MultiScalePixelRNN`.
    """

    def __init__(self, model):
        self._model = model

    @property
    def has_passed(self):
        """Whether all networks have ever passed, with any weights."""
        checks = [model._causality_check for model in self._model.scale_models]
        return all(check.has_passed for check in checks)

    def run(self, image_shape, fingerprint=None, also=()):
        """Raise if the probe finds a sub-pixel that sees itself or a later one.

        Args:
            image_shape: Not used, since every scale has its own.
            fingerprint: Fingerprint of the weights of the whole model; by default
                computed for each network.
            also: Not used.

        Raises:
            ValueError: If a network is not causal.
        """
        if self._model.check_causality:
            for network in self._model.scale_models:
                network._causality_check.run(network.image_shape, fingerprint)
