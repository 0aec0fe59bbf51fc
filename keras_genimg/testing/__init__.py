"""Checks for models of one's own."""

from keras_genimg.testing.causality import CausalityReport, assert_causal
from keras_genimg.testing.influence import influence

__all__ = ["CausalityReport", "assert_causal", "influence"]
