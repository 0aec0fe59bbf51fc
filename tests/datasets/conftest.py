"""Data sets that are made for a test."""

import functools

import numpy as np
import pytest

from keras_genimg.datasets import READERS
from tests.datasets import written_sets


@pytest.fixture
def write_set(monkeypatch, tmp_path):
    """Return a function that writes images as a prepared data set of tfds."""
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    return functools.partial(written_sets.write_set, tmp_path)


@pytest.fixture
def add_set(monkeypatch):
    """Return a function that adds images, and perhaps labels, as a data set."""

    def add(name, images, **labels):
        splits = {"train": {"images": np.stack(images), **labels}}
        monkeypatch.setitem(READERS, name, lambda: splits)

    return add
