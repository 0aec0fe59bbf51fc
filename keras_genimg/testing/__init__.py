"""Checks for custom models."""

from keras_genimg.testing.causality_report import CausalityReport, assert_causal
from keras_genimg.testing.pixel_influence import influence

__all__ = ["CausalityReport", "assert_causal", "influence"]
