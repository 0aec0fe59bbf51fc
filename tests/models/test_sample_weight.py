import numpy as np
import pytest

from keras_genimg.models import VAE, PixelCNN

IMAGES = np.random.default_rng(0).integers(0, 2, (4, 4, 5, 1)).astype("uint8")
WEIGHTS = np.array([2, 0, 1, 0.5], "float32")


def test_sample_weights_weigh_the_images():
    model = PixelCNN((4, 5, 1), 4, 1, first_kernel_size=3)
    model.compile("sgd", run_eagerly=True)
    nats = -model.log_prob(IMAGES)
    logs = model.evaluate(
        IMAGES, sample_weight=WEIGHTS, return_dict=True, verbose=0, batch_size=4
    )
    np.testing.assert_allclose(logs["loss"], WEIGHTS @ nats / 4, rtol=1e-5)
    history = model.fit(
        IMAGES, sample_weight=WEIGHTS, batch_size=4, verbose=0, shuffle=False
    ).history
    np.testing.assert_allclose(history["loss"][0], WEIGHTS @ nats / 4, rtol=1e-5)


def test_weights_that_would_not_weigh_the_loss_are_refused():
    model = VAE((4, 5, 1), 2, 4)
    model.compile("sgd")
    with pytest.raises(ValueError, match="takes no `sample_weight`"):
        model.fit(IMAGES, sample_weight=WEIGHTS)
    with pytest.raises(ValueError, match="takes no `sample_weight`"):
        model.evaluate(IMAGES, sample_weight=WEIGHTS)
    model = PixelCNN((4, 5, 1), 4, 1, first_kernel_size=3)
    model.compile("sgd")
    with pytest.raises(ValueError, match="takes no `class_weight`"):
        model.fit(IMAGES, class_weight={0: 1.0})
