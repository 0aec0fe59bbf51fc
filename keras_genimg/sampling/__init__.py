"""How a causal model draws images."""

from keras_genimg.sampling.ancestral import ancestral_sampler
from keras_genimg.sampling.incremental import incremental_sampler

METHODS = {"incremental": incremental_sampler, "ancestral": ancestral_sampler}

__all__ = ["METHODS", "ancestral_sampler", "incremental_sampler"]
