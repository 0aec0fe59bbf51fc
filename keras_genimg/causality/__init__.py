"""Checks that a model does not see pixels that are not drawn yet."""

from keras_genimg.causality.leak import Leak
from keras_genimg.causality.probing import first_leak, is_causal

__all__ = ["Leak", "first_leak", "is_causal"]
