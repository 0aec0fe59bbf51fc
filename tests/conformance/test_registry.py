import json

import keras
import numpy as np
import pytest

import keras_genimg as kg
from tests.conformance.registry import (
    FAMILIES,
    LAYERS,
    LIKELIHOODS,
    MEASURES,
    MODELS,
    NOT_TRIED,
)

DISTRIBUTIONS = {**LIKELIHOODS, **FAMILIES}


def test_every_public_class_is_registered():
    packages = kg.latents, kg.layers, kg.likelihoods, kg.losses, kg.metrics, kg.models
    public = {name for package in packages for name in package.__all__}
    registered = {**LAYERS, **MODELS, **DISTRIBUTIONS, **MEASURES}
    assert public - NOT_TRIED == {name.split("_")[0] for name in registered}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_round_trips(name):
    distribution = DISTRIBUTIONS[name]()
    serialized = json.dumps(keras.saving.serialize_keras_object(distribution))
    package = kg.latents if name in FAMILIES else kg.likelihoods
    revived = package.get(json.loads(serialized))
    assert revived == distribution
    assert hash(revived) == hash(distribution)
    assert repr(revived) == repr(distribution)


@pytest.mark.parametrize("make", MEASURES.values(), ids=MEASURES)
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
