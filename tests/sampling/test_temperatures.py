import sys

import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.causality.random_weights import randomize
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import PixelCNN
from keras_genimg.ops import seeded_uniforms
from keras_genimg.sampling import METHODS

TINY = [1e-30, 1e-37, 1e-38, 1e-40, 1e-50, sys.float_info.min]


@pytest.mark.parametrize(
    "likelihood",
    [
        Categorical(5),
        pytest.param(DiscretizedLogisticMixture(5, 2), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_the_likeliest_pixels_are_drawn_at_the_smallest_temperatures(likelihood):
    """Logits divided by less than 1e-37 overflowed, and the image was black."""
    model = PixelCNN((3, 3, 1), 3, 1, likelihood=likelihood, first_kernel_size=3)
    randomize(model, seed=3)
    model.check_causality = False  # To save proofs.
    images = model.generate(4, seed=1, temperature=1e-6)
    assert images.any()
    known = np.eye(3)
    for temperature in TINY:
        options = {"seed": 1, "temperature": temperature}
        np.testing.assert_array_equal(model.generate(4, **options), images)
        for candidates in (1, 2):
            options["num_candidates"] = candidates
            completed, sizes = model.complete(
                images, known, return_effective_sample_size=True, **options
            )
            np.testing.assert_array_equal(completed, images)
        assert ((sizes >= 1) & (sizes <= 2)).all()


def test_logits_of_0_are_a_coin_at_every_temperature():
    model = PixelCNN((3, 3, 1), 3, 1, first_kernel_size=3)
    model.set_weights([np.zeros(weight.shape) for weight in model.weights])
    images = model.generate(4, seed=1)
    assert 0 < images.mean() < 1
    for temperature in TINY:
        drawn = model.generate(4, seed=1, temperature=temperature)
        np.testing.assert_array_equal(drawn, images)


def test_maps_of_temperatures():
    """For nine images of nine pixels, they were taken for one number an image."""
    model = PixelCNN((3, 3, 1), 3, 1, likelihood=Categorical(9), first_kernel_size=3)
    randomize(model, seed=3)
    uniforms = seeded_uniforms(np.arange(9), model.image_shape)
    temperature = tf.constant(np.linspace(0.1, 9, 9), tf.float32, (1, 3, 3, 1))

    def drawn(method):
        draw = tf.function(METHODS[method](model), autograph=False)
        return draw(uniforms, temperature, [])

    np.testing.assert_array_equal(drawn("incremental"), drawn("ancestral"))
