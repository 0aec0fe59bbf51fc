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


def serialized(made):
    return json.dumps(keras.saving.serialize_keras_object(made))


def revived(made):
    return keras.saving.deserialize_keras_object(json.loads(serialized(made)))


CASES = {**LAYERS, **MODELS}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_config_round_trips(case):
    made = case.make()
    again = revived(made)
    assert type(again) is type(made) and dir(again) == dir(made)
    assert json.dumps(again.get_config()) == json.dumps(made.get_config())
    assert [w.shape for w in again.weights] == [w.shape for w in made.weights]
    for name in ("likelihood", "posterior"):
        kept = getattr(made, name, None)
        assert callable(kept) or getattr(again, name, None) == kept


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distribution_round_trips(name):
    distribution = DISTRIBUTIONS[name]()
    package = kg.latents if name in FAMILIES else kg.likelihoods
    again = package.get(json.loads(serialized(distribution)))
    assert again == distribution
    assert hash(again) == hash(distribution)
    assert repr(again) == repr(distribution)


@pytest.mark.parametrize("make", MEASURES.values(), ids=MEASURES)
def test_measure_round_trips_and_agrees(make):
    measure = make()
    images = np.random.default_rng(0).integers(2, size=(3, 4, 5, 1))
    params = np.random.default_rng(1).normal(size=images.shape).astype("float32")
    probability = np.where(images == 1, 1, -1) * params
    nats = np.log1p(np.exp(-probability)).sum(axis=(1, 2, 3)).mean()
    expected = nats if "Likelihood" in type(measure).__name__ else nats / 20 / np.log(2)
    for each in (measure, revived(measure)):
        np.testing.assert_allclose(float(each(images, params)), expected, rtol=1e-5)
