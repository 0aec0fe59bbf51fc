import json

import keras
import numpy as np
import pytest

import keras_genimg.latents
import keras_genimg.layers
import keras_genimg.likelihoods
import keras_genimg.losses
import keras_genimg.metrics
import keras_genimg.models
from tests.conformance import registry


def test_every_public_class_is_registered():
    packages = (
        keras_genimg.latents,
        keras_genimg.layers,
        keras_genimg.likelihoods,
        keras_genimg.losses,
        keras_genimg.metrics,
        keras_genimg.models,
    )
    public = {name for package in packages for name in package.__all__}
    tables = (
        registry.LAYERS,
        registry.MODELS,
        registry.LIKELIHOODS,
        registry.FAMILIES,
        registry.MEASURES,
    )
    tried = {name.split("_")[0] for table in tables for name in table}
    assert public - registry.NOT_TRIED == tried


DISTRIBUTIONS = {**registry.LIKELIHOODS, **registry.FAMILIES}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_round_trips(name):
    distribution = DISTRIBUTIONS[name]()
    serialized = json.dumps(keras.saving.serialize_keras_object(distribution))
    is_family = name in registry.FAMILIES
    package = keras_genimg.latents if is_family else keras_genimg.likelihoods
    revived = package.get(json.loads(serialized))
    assert revived == distribution
    assert hash(revived) == hash(distribution)
    assert repr(revived) == repr(distribution)


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
