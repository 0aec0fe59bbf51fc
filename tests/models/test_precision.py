"""Models in a single dtype and in mixed precision.

Training in mixed precision is as good as in float32, on the 8x8 digits.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import keras
import numpy as np
import pytest

from keras_genimg import datasets
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import DRAW, VAE, LatentModel, PixelCNN, PixelRNN
from tests.conformance import registry
from tests.conformance.loading import computed
from tests.seldom import weekly_but

MIXED = ("mixed_bfloat16", "mixed_float16")
SEEDS = (0, 1, 2)
SHAPE = (8, 8, 1)
GRAYS = Categorical(17)
REAL = Bernoulli(intensities=True)


PIXELS = {"likelihood": GRAYS, "first_kernel_size": 3}


class Family(NamedTuple):
    """A model, and how it is trained."""

    make: Callable
    num_images: int
    epochs: int
    learning_rate: float


def pixel_family(*arguments):
    """Return the training of a model that draws pixel by pixel."""
    make = partial(*arguments, **PIXELS)
    return Family(make, num_images=256, epochs=6, learning_rate=0.006)


FAMILIES = {
    "PixelCNN": pixel_family(PixelCNN, SHAPE, 8, 1, 16),
    "PixelRNN_row": pixel_family(PixelRNN, SHAPE, 8, 1, "row", 16),
    "PixelRNN_diagonal": pixel_family(PixelRNN, SHAPE, 8, 1, "diagonal", 16),
    "VAE": Family(
        partial(VAE, SHAPE, 4, 32, REAL, weight_stddev=0.1),
        num_images=512,
        epochs=12,
        learning_rate=0.01,
    ),
    "DRAW": Family(
        partial(DRAW, SHAPE, 2, 16, 4, 4, 4, REAL),
        num_images=512,
        epochs=7,
        learning_rate=0.006,
    ),
}
BATCH_SIZE = 32


def held_out_nats(model, images):
    """Return the mean loss of images that were not trained on, in nats."""
    options = {"batch_size": len(images), "verbose": 0}
    if isinstance(model, LatentModel):  # The seed gives the same noise each time.
        nats = model.elbo(images, seed=0, num_samples=4, **options)
    else:
        nats = model.log_prob(images, **options)
    assert nats.dtype == np.float32 and nats.shape == (len(images),)
    return -nats.mean()


def check_loss_scale(optimizer, policy, num_steps):
    """Check that Keras scales the loss in float16 only, and skips few steps for it."""
    scales = isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
    assert scales == (policy == "mixed_float16")
    if scales:
        assert num_steps - 5 <= int(optimizer.inner_optimizer.iterations) <= num_steps
        assert float(optimizer.dynamic_scale) >= 256


def train(family, policy, starts, train_images, test_images):
    """Return the model and its final loss from each of the initial weights.

    The model is trained for an epoch before. So its step is traced once, and
    `mixed_float16` has found its loss scale: Keras skips the steps until then.
    """
    keras.mixed_precision.set_global_policy(policy)
    keras.utils.set_random_seed(0)
    model = family.make()
    model.check_causality = False  # Others test it.
    model.compile(keras.optimizers.Adam(family.learning_rate))
    model.fit(train_images, batch_size=BATCH_SIZE, verbose=0)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    losses = []
    for seed, weights in zip(SEEDS, starts, strict=True):
        keras.utils.set_random_seed(seed)  # The order of the images.
        model.set_weights(weights)
        for variable in optimizer.variables:
            if variable.path != optimizer.learning_rate.path:
                variable.assign(np.zeros(variable.shape))
        model.fit(train_images, batch_size=BATCH_SIZE, epochs=family.epochs, verbose=0)
        losses.append(held_out_nats(model, test_images))
    return model, np.array(losses)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize("name", FAMILIES)
def test_mixed_precision_reaches_the_loss_of_float32(name):
    family = FAMILIES[name]
    starts = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model = family.make()
        starts.append(model.get_weights())
    train_images, test_images = (
        datasets.as_array(datasets.load("digits", split, likelihood=model.likelihood))
        for split in ("train", "test")
    )
    images = train_images[: family.num_images], test_images
    # These are the nats of uniform pixels.
    noise_nats = 64 * np.log(model.likelihood.num_values or 2)
    _, expected = train(family, "float32", starts, *images)
    assert expected.max() < 0.7 * noise_nats  # It has learned.
    for policy in MIXED:
        model, losses = train(family, policy, starts, *images)
        num_steps = family.epochs * family.num_images // BATCH_SIZE
        check_loss_scale(model.optimizer, policy, num_steps)
        # Short runs from the same weights differ by rounding alone, far less than runs
        # from other weights. So the mean of three differences is well within the range
        # of three losses, unless half precision does harm. With 12 seeds by hand, it
        # was at most 0.13 of the range for seeds 0 to 2, 3 to 5, 6 to 8 and 9 to 11,
        # and 0.66 for the worst three. With weights in bfloat16, too, it was 2.5 and
        # more in all families but the diagonal one, which was not tried.
        assert abs(losses.mean() - expected.mean()) < np.ptp(expected), (
            policy,
            losses,
            expected,
        )


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
    np.testing.assert_equal(computed(loaded, images), computed(model, images))
    results = [model.generate(2, seed=2)]
    if isinstance(model, LatentModel):
        options = {"seed": 1, "num_samples": 2}
        results += [model.log_prob(images, **options), model.elbo(images, **options)]
        results.append(model.reconstruct(images, seed=1))
    else:
        results.append(model.log_prob(images))
    assert all(np.isfinite(values).all() for values in results)
