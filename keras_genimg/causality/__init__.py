"""What each sub-pixel depends on: proofs, reports and influences."""

from keras_genimg.causality.leak import Leak
from keras_genimg.causality.pixel_influence import influence
from keras_genimg.causality.probing import first_leak, is_causal
from keras_genimg.causality.report import CausalityReport, assert_causal

__all__ = [
    "CausalityReport",
    "Leak",
    "assert_causal",
    "first_leak",
    "influence",
    "is_causal",
]
