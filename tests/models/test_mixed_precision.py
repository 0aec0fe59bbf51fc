"""Training in mixed precision: as good as in float32, on the 8x8 digits."""

import keras
import numpy as np
import pytest

from keras_genimg import datasets
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import DRAW, VAE, LatentModel, PixelCNN, PixelRNN

POLICIES = ("mixed_bfloat16", "mixed_float16")
SEEDS = (0, 1, 2)
SHAPE = (8, 8, 1)
GRAYS = Categorical(17)
REAL = Bernoulli(intensities=True)


def pixel_rnn(layer):
    return lambda: PixelRNN(SHAPE, 8, 1, layer, 16, GRAYS, first_kernel_size=3)


# Model, number of images and of epochs, and learning rate.
FAMILIES = {
    "PixelCNN": (
        lambda: PixelCNN(SHAPE, 8, 1, 16, GRAYS, first_kernel_size=3),
        *(256, 6, 0.006),
    ),
    "PixelRNN_row": (pixel_rnn("row"), 256, 6, 0.006),
    "PixelRNN_diagonal": (pixel_rnn("diagonal"), 256, 6, 0.006),
    "VAE": (lambda: VAE(SHAPE, 4, 32, REAL, weight_stddev=0.1), 512, 12, 0.01),
    "DRAW": (lambda: DRAW(SHAPE, 2, 16, 4, 4, 4, REAL), 512, 7, 0.006),
}
BATCH_SIZE = 32


def held_out_nats(model, images):
    """Return the mean loss of images that were not trained on, in nats."""
    options = {"batch_size": len(images), "verbose": 0}
    if isinstance(model, LatentModel):  # Of the same noise each time.
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
    make, _, epochs, learning_rate = family
    model = make()
    model.check_causality = False  # Others test it.
    model.compile(keras.optimizers.Adam(learning_rate))
    model.fit(train_images, batch_size=BATCH_SIZE, verbose=0)
    optimizer = getattr(model.optimizer, "inner_optimizer", model.optimizer)
    losses = []
    for seed, weights in zip(SEEDS, starts, strict=True):
        keras.utils.set_random_seed(seed)  # The order of the images.
        model.set_weights(weights)
        for variable in optimizer.variables:
            if variable.path != optimizer.learning_rate.path:
                variable.assign(np.zeros(variable.shape))
        model.fit(train_images, batch_size=BATCH_SIZE, epochs=epochs, verbose=0)
        losses.append(held_out_nats(model, test_images))
    return model, np.array(losses)


@pytest.mark.slow
@pytest.mark.weekly
@pytest.mark.parametrize("name", FAMILIES)
def test_mixed_precision_reaches_the_loss_of_float32(name):
    family = FAMILIES[name]
    make, num_images, epochs, _ = family
    starts = []
    for seed in SEEDS:
        keras.utils.set_random_seed(seed)
        model = make()
        starts.append(model.get_weights())
    train_images, test_images = (
        datasets.as_array(datasets.load("digits", split, likelihood=model.likelihood))
        for split in ("train", "test")
    )
    images = train_images[:num_images], test_images
    noise_nats = 64 * np.log(model.likelihood.num_values or 2)  # Of uniform pixels.
    _, expected = train(family, "float32", starts, *images)
    assert expected.max() < 0.7 * noise_nats  # It has learned.
    for policy in POLICIES:
        model, losses = train(family, policy, starts, *images)
        num_steps = epochs * num_images // BATCH_SIZE
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
