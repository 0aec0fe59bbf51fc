"""Likelihoods by name."""

import keras

from keras_genimg.likelihoods.bernoulli import Bernoulli
from keras_genimg.likelihoods.categorical import Categorical
from keras_genimg.likelihoods.gaussian import Gaussian
from keras_genimg.likelihoods.likelihood import Likelihood

_BY_NAME = {"bernoulli": Bernoulli, "categorical": Categorical, "gaussian": Gaussian}


def get(identifier):
    """Return the likelihood that a name, a config or an object stands for.

    Args:
        identifier: `"bernoulli"`, `"categorical"` (256 values), `"gaussian"`, the
            config of a serialised likelihood, or a `Likelihood`.

    Raises:
        ValueError: If it is none of these.
    """
    if isinstance(identifier, Likelihood):
        return identifier
    if isinstance(identifier, str) and identifier in _BY_NAME:
        return _BY_NAME[identifier]()
    if isinstance(identifier, dict):
        return keras.saving.deserialize_keras_object(identifier)
    raise ValueError(
        f"A likelihood is one of {', '.join(map(repr, _BY_NAME))}, or an object such "
        f"as Categorical(256). Received: likelihood={identifier!r}"
    )
