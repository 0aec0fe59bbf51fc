"""Distributions of pixel values."""

from keras_genimg.likelihoods.bernoulli import Bernoulli
from keras_genimg.likelihoods.categorical import Categorical
from keras_genimg.likelihoods.gaussian import Gaussian
from keras_genimg.likelihoods.likelihood import Likelihood
from keras_genimg.likelihoods.logistic_mixture import DiscretizedLogisticMixture
from keras_genimg.likelihoods.registry import get

__all__ = [
    "Bernoulli",
    "Categorical",
    "DiscretizedLogisticMixture",
    "Gaussian",
    "Likelihood",
    "get",
]
