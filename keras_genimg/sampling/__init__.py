"""How a causal model draws images."""

from keras_genimg.sampling.ancestral import ancestral_sampler

METHODS = {"ancestral": ancestral_sampler}

__all__ = ["METHODS", "ancestral_sampler"]
