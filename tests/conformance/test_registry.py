import json

import keras
import numpy as np
import pytest

import keras_genimg.layers
import keras_genimg.likelihoods
import keras_genimg.models
import keras_genimg.training
from tests.conformance import registry


def test_every_public_class_is_registered():
    packages = (
        keras_genimg.layers,
        keras_genimg.likelihoods,
        keras_genimg.models,
        keras_genimg.training,
    )
    public = {name for package in packages for name in package.__all__}
    tables = (
        registry.LAYERS,
        registry.MODELS,
        registry.LIKELIHOODS,
        registry.MEASURES,
    )
    tried = {name.split("_")[0] for table in tables for name in table}
    assert public - registry.NOT_TRIED == tried


@pytest.mark.parametrize(
    "make", registry.LIKELIHOODS.values(), ids=registry.LIKELIHOODS
)
def test_likelihood_round_trips(make):
    likelihood = make()
    serialized = keras.saving.serialize_keras_object(likelihood)
    revived = keras_genimg.likelihoods.get(json.loads(json.dumps(serialized)))
    assert revived == likelihood
    assert hash(revived) == hash(likelihood)
    assert repr(revived) == repr(likelihood)


@pytest.mark.parametrize("make", registry.MEASURES.values(), ids=registry.MEASURES)
def test_measure_round_trips_and_agrees(make):
    measure = make()
    revived = keras.saving.deserialize_keras_object(
        json.loads(json.dumps(keras.saving.serialize_keras_object(measure)))
    )
    images = np.random.default_rng(0).integers(2, size=(3, 4, 5, 1))
    params = np.random.default_rng(1).normal(size=images.shape).astype("float32")
    probability = np.where(images == 1, 1, -1) * params
    nats = np.log1p(np.exp(-probability)).sum(axis=(1, 2, 3)).mean()
    expected = nats if "Likelihood" in type(measure).__name__ else nats / 20 / np.log(2)
    for each in (measure, revived):
        np.testing.assert_allclose(float(each(images, params)), expected, rtol=1e-5)
