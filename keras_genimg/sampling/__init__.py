"""Samplers of causal models."""

from collections.abc import Callable
from typing import Any

from keras_genimg.sampling.ancestral import ancestral_sampler
from keras_genimg.sampling.fixed_point_sampling import fixed_point, fixed_point_sampler
from keras_genimg.sampling.incremental import (
    incremental_sampler,
    teacher_forced_params,
)
from keras_genimg.sampling.proof import (
    check_difference,
    first_disagreement,
    sampler_difference,
)
from keras_genimg.sampling.tolerances import tolerance

METHODS: dict[str, Callable[..., Any]] = {
    "incremental": incremental_sampler,
    "fixed_point": fixed_point_sampler,
    "ancestral": ancestral_sampler,
}

__all__ = [
    "METHODS",
    "ancestral_sampler",
    "check_difference",
    "first_disagreement",
    "fixed_point",
    "fixed_point_sampler",
    "incremental_sampler",
    "sampler_difference",
    "teacher_forced_params",
    "tolerance",
]
