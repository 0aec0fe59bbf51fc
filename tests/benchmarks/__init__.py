"""Benchmarks, each run by `python -m tests.benchmarks.NAME`."""

import os

# Before TensorFlow is imported. PyTorch needs some of a GPU's memory too.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
