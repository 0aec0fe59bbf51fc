"""What each sub-pixel depends on: checks, reports and influences."""

from keras_genimg.causality.leak import Leak
from keras_genimg.causality.pixel_influence import (
    CausalityReport,
    assert_causal,
    dependency_field,
    influence,
)
from keras_genimg.causality.probing import first_leak, is_causal

__all__ = [
    "CausalityReport",
    "Leak",
    "assert_causal",
    "dependency_field",
    "first_leak",
    "influence",
    "is_causal",
]


def __dir__():
    return __all__
