"""One export that several files read, since an export takes seconds."""

import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import random_values
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN


@pytest.fixture(scope="session")
def color_model():
    """A class-conditional model of color images, with random weights."""
    model = PixelCNN(
        (3, 4, 3), 6, 1, head_filters=6, likelihood=Categorical(4), num_classes=3
    )
    for weight, value in random_values(model, seed=1):
        weight.assign(value)
    return model


@pytest.fixture(scope="session")
def color_export(color_model, tmp_path_factory):
    """Path of its SavedModel with all options, which nobody changes."""
    path = tmp_path_factory.mktemp("color") / "1"
    color_model.export(
        path,
        max_examples=14,
        xla_twins=True,
        num_candidates=5,
        batching=True,
        metadata={"training": {"test_nats": -12.5}, "license": "Apache-2.0"},
        verbose=False,
    )
    return path


@pytest.fixture(scope="session")
def color_loaded(color_export):
    """The SavedModel, loaded."""
    return tf.saved_model.load(str(color_export))
