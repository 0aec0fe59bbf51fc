"""Samplers of causal models."""

from collections.abc import Callable

from keras_genimg.sampling.forward_passes import (
    ancestral_sampler,
    fixed_point_sampler,
)
from keras_genimg.sampling.pixel_sampler import PixelSampler
from keras_genimg.sampling.sampler import (
    incremental_sampler,
    teacher_forced_params,
)

METHODS: dict[str, Callable[..., PixelSampler]] = {
    "incremental": incremental_sampler,
    "fixed_point": fixed_point_sampler,
    "ancestral": ancestral_sampler,
}

__all__ = [
    "METHODS",
    "ancestral_sampler",
    "fixed_point_sampler",
    "incremental_sampler",
    "teacher_forced_params",
]


def __dir__() -> list[str]:
    return __all__
