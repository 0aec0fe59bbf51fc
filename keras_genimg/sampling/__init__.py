"""How a causal model draws images."""

from keras_genimg.sampling.ancestral import ancestral_sampler
from keras_genimg.sampling.fixed_point import fixed_point, fixed_point_sampler
from keras_genimg.sampling.incremental import incremental_sampler

METHODS = {
    "incremental": incremental_sampler,
    "fixed_point": fixed_point_sampler,
    "ancestral": ancestral_sampler,
}

__all__ = [
    "METHODS",
    "ancestral_sampler",
    "fixed_point",
    "fixed_point_sampler",
    "incremental_sampler",
]
