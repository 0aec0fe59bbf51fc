"""Inputs of models: images, conditions and seeds."""
