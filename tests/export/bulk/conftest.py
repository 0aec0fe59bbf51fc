import functools

import numpy as np
import pytest

from genimg_export.bulk.sampling import SampleJob
from genimg_export.bulk.saved_model import SavedModel


@pytest.fixture(scope="session")
def saved(base_dir):
    """Function that returns a signature of version 1 of a model."""
    return functools.cache(
        lambda name, signature="sample": SavedModel(base_dir / name / "1", signature)
    )


@pytest.fixture(scope="session")
def call(saved):
    """Function that returns a loaded signature."""
    return functools.cache(lambda *names: saved(*names).load())


@pytest.fixture
def job(saved, tmp_path):
    """Function that returns a job of eleven images in three shards."""

    def make(model="draw", output="drawn/digits", **changed):
        options = {
            "format": "npz",
            "first_seed": 5,
            "num_images": 11,
            "num_shards": 3,
            "batch_size": 2,
            **changed,
        }
        return SampleJob(saved(model), str(tmp_path / output), **options)

    return make


@pytest.fixture
def expected(drawn):
    """Function that returns the library's own images, of which most differ."""

    def draw(name, count, label=None):
        images = drawn(name, np.arange(5, 5 + count), label)
        # Or images in a wrong order would look right.
        assert len({image.tobytes() for image in images}) > count / 2
        return images

    return draw
