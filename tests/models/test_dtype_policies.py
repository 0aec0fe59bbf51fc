"""Models in a single dtype and in mixed precision."""

import keras
import numpy as np
import pytest

from keras_genimg.models import LatentModel
from tests.conformance import registry
from tests.seldom import weekly_but

PURE = ("float64", "bfloat16", "float16")
# Three models are tried in float16, which has the narrowest range, and all models and
# dtypes once a week. The two DRAW models share all but attention.
POLICIES = {
    "DRAW": ("float64", "bfloat16", "float16", "mixed_bfloat16"),
    "DRAW_whole": ("float64", "float16", "mixed_float16"),
    "VAE": ("bfloat16", "float16"),
    "PixelCNN": ("float64", "float16"),
    "PixelRNN_row": ("bfloat16", "float16"),
    "PixelRNN_diagonal": ("float64", "float16"),
}
CASES = [(name, policy) for name in POLICIES for policy in POLICIES[name]]
OFTEN = [(name, "float16") for name in ("DRAW", "VAE", "PixelRNN_diagonal")]
OFTEN.append(("DRAW", "float64"))


@pytest.mark.slow
@pytest.mark.parametrize("choice", weekly_but(CASES, *OFTEN), ids="-".join)
def test_trains_draws_and_scores(choice, tmp_path):
    name, policy = choice
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
    weights = zip(loaded.get_weights(), model.get_weights(), strict=True)
    assert all((a == b).all() for a, b in weights)
    latent = isinstance(model, LatentModel)
    options = {"seed": 1, "num_samples": 2} if latent else {}
    log_prob = model.log_prob(images, **options)
    assert np.isfinite(log_prob).all()
    if latent:
        bound = model.elbo(images, **options)
        assert np.isfinite(bound).all()
        assert np.isfinite(model.reconstruct(images, seed=1)).all()
        np.testing.assert_array_equal(loaded.elbo(images, **options), bound)
    else:
        np.testing.assert_array_equal(loaded.log_prob(images), log_prob)
    assert np.isfinite(model.generate(2, seed=2)).all()
