"""Models in a single dtype and in mixed precision."""

import keras
import numpy as np
import pytest

from keras_genimg.models import LatentModel
from tests.conformance import registry

MODELS = (
    "DRAW",
    "DRAW_whole",
    "VAE",
    "PixelCNN",
    "PixelRNN_row",
    "PixelRNN_diagonal",
)
PURE = ["float64", "bfloat16", "float16"]
MIXED = ["mixed_bfloat16", "mixed_float16"]
CASES = [(name, policy) for name in MODELS for policy in PURE]
CASES += [(name, policy) for name in ("DRAW", "DRAW_whole") for policy in MIXED]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "policy"), CASES)
def test_trains_draws_and_scores(name, policy, tmp_path):
    keras.mixed_precision.set_global_policy(policy)
    case = registry.MODELS[name]
    model, images = case.make(), case.example()
    variables = {weight.dtype for weight in model.trainable_weights}
    assert (policy in variables) == (policy in PURE), variables
    before = model.get_weights()
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    history = model.fit(images, batch_size=4, verbose=0).history
    assert all(np.isfinite(values).all() for values in history.values())
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert any((a != b).any() for a, b in zip(before, model.get_weights(), strict=True))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert {weight.dtype for weight in loaded.trainable_weights} == variables
    latent = isinstance(model, LatentModel)
    for call in ("log_prob", "elbo", "reconstruct") if latent else ("log_prob",):
        options = {"seed": 1} if latent else {}
        if latent and call != "reconstruct":
            options["num_samples"] = 2
        outputs = getattr(model, call)(images, **options)
        assert np.isfinite(outputs).all()
        np.testing.assert_array_equal(getattr(loaded, call)(images, **options), outputs)
    drawn = model.generate(2, seed=2)
    assert np.isfinite(drawn).all()
    np.testing.assert_array_equal(loaded.generate(2, seed=2), drawn)


@pytest.mark.parametrize("policy", PURE)
def test_draw_builds_and_takes_a_step(policy):
    keras.mixed_precision.set_global_policy(policy)
    case = registry.MODELS["DRAW"]
    model, images = case.make(), case.example()
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    logs = model.train_on_batch(images, return_dict=True)
    assert np.isfinite(list(logs.values())).all()
    assert np.isfinite(model.elbo(images, num_samples=1, seed=0)).all()
