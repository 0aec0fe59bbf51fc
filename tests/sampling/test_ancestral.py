import keras
import numpy as np
import pytest

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN, PixelRNN
from keras_genimg.ops import seeded_uniforms


def draw_one_by_one(model, seeds, temperature=1.0):
    """Draw in plain NumPy, from the distribution function of each sub-pixel."""
    images = np.zeros((len(seeds), *model.image_shape))
    uniforms = np.asarray(seeded_uniforms(seeds, model.image_shape), "float64")
    for r, c, k in np.ndindex(*model.image_shape):
        logits = np.asarray(model(images), "float64")[:, r, c, k] / temperature
        if logits.ndim == 1:
            logits = np.stack([np.zeros_like(logits), logits], axis=-1)
        p = np.exp(logits - logits.max(axis=-1, keepdims=True))
        steps = np.cumsum(p / p.sum(axis=-1, keepdims=True), axis=-1)
        u = uniforms[:, r, c, k, None]
        assert abs(u - steps).min() > 1e-5, "a tie; choose other seeds"
        images[:, r, c, k] = (u >= steps[:, :-1]).sum(axis=-1)
    return images


MODELS = {
    "cnn": lambda: PixelCNN((4, 3, 1), 4, 2),
    "colors": lambda: PixelCNN((2, 3, 3), 6, 1, likelihood=Categorical(5)),
    "diagonal": lambda: PixelRNN((2, 3, 1), 4, 1, likelihood=Categorical(4)),
}


@pytest.mark.parametrize(
    "name, jit_compile",
    [
        ("cnn", False),
        ("colors", False),
        ("cnn", True),
        pytest.param("diagonal", True, marks=pytest.mark.slow),
    ],
)
def test_draws_what_numpy_draws(name, jit_compile):
    keras.utils.set_random_seed(7)
    model = MODELS[name]()
    model.set_weights([1.5 * w for w in model.get_weights()])  # Away from uniform.
    seeds = np.array([0, 11, 2**40 + 5])
    for temperature in (1.0, 0.3):
        drawn = model.generate(
            3,
            seed=seeds,
            method="ancestral",
            temperature=temperature,
            jit_compile=jit_compile,
        )
        np.testing.assert_array_equal(drawn, draw_one_by_one(model, seeds, temperature))
        assert len(np.unique(drawn)) > 1
        assert (drawn[0] != drawn[1]).any()


def test_seed_none_follows_the_global_seed():
    model = MODELS["cnn"]()
    model.check_causality = False  # To save a proof.
    keras.utils.set_random_seed(1)
    first, second = model.generate(3), model.generate(3)
    keras.utils.set_random_seed(1)
    np.testing.assert_array_equal(model.generate(3), first)
    assert (first != second).any()
