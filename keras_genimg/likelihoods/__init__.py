"""Distributions of pixel values."""

from keras_genimg.likelihoods.independent import Bernoulli, Categorical, Gaussian
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.likelihoods.logistic_mixture import DiscretizedLogisticMixture
from keras_genimg.ops.configurable import from_identifier
from keras_genimg.types import Config

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "Likelihood",
    "get",
]

_BY_NAME = {
    "bernoulli": Bernoulli,
    "categorical": Categorical,
    "gaussian": Gaussian,
    "logistic_mixture": DiscretizedLogisticMixture,
}


def get(identifier: str | Config | Likelihood) -> Likelihood:
    """Return a likelihood by name, config or object.

    Args:
        identifier: `"bernoulli"`, `"categorical"` (256 values), `"gaussian"`,
            `"logistic_mixture"` (256 values, 10 components), the config of a serialized
            likelihood, or a `Likelihood`.

    Raises:
        ValueError: If it is none of these.
    """
    return from_identifier("likelihood", identifier, Likelihood, _BY_NAME)


def __dir__():
    return __all__
