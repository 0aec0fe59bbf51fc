import re

import keras
import numpy as np
import pytest

from examples.moving import code_prior, keras_io_pixel_cnn

NAMES = ["PixelCNN of keras.io", "VQ-VAE prior of keras.io", "tfd.PixelCNN"]


class PixelConvolution(keras.layers.Conv2D):
    """A masked convolution as on keras.io: the kernel is multiplied by a mask."""

    def __init__(self, *args, center, **kwargs):
        super().__init__(*args, padding="same", **kwargs)
        self.center = center

    def call(self, inputs):
        half = self.kernel_size[0] // 2
        mask = np.zeros(self.kernel.shape, "float32")
        mask[:half] = 1
        mask[half, : half + self.center] = 1
        self.kernel.assign(self.kernel * mask)
        return super().call(inputs)


def network_on_keras_io(image_shape, filters, num_blocks):
    images = keras.Input(image_shape)
    relu = {"activation": "relu"}
    x = PixelConvolution(filters, 7, center=0, **relu)(images)
    for _ in range(num_blocks):
        y = keras.layers.Conv2D(filters, 1, **relu)(x)
        y = PixelConvolution(filters // 2, 3, center=1, **relu)(y)
        y = keras.layers.Conv2D(filters, 1, **relu)(y)
        x = keras.layers.add([x, y])
    for _ in range(2):
        x = PixelConvolution(filters, 1, center=1, **relu)(x)
    outputs = keras.layers.Conv2D(1, 1, activation="sigmoid")(x)
    return keras.Model(images, outputs)


def test_weights_of_keras_io_fit():
    """In the same order, they give the same probabilities."""
    theirs = network_on_keras_io((6, 5, 1), filters=8, num_blocks=2)
    generator = np.random.default_rng(0)
    theirs.set_weights([generator.normal(size=w.shape) for w in theirs.weights])
    images = generator.integers(0, 2, (3, 6, 5, 1)).astype("float32")
    expected = keras.ops.convert_to_numpy(theirs(images))

    ours = keras_io_pixel_cnn((6, 5, 1), filters=8, num_blocks=2)
    assert ours.count_params() == theirs.count_params()
    ours.set_weights(theirs.get_weights())
    found = keras.ops.convert_to_numpy(keras.ops.sigmoid(ours(images)))
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    # Its size on keras.io.
    full = keras_io_pixel_cnn((28, 28, 1), filters=128)
    assert full.count_params() == 532_673


def test_a_prior_with_an_odd_number_of_filters():
    model = code_prior((3, 2), num_codes=4, filters=5)
    assert model.image_shape == (3, 2, 1)


@pytest.mark.slow
def test_models_and_table(run_example):
    printed = run_example("moving.py --images 3 --pixels 2 --filters 4 --size 4")

    drew = r"^(.+): ([\d.]+) nats .* drew 3 images of shape (\(.*\)), .* (\d+) to (\d+)"
    found = re.findall(drew, printed, re.M)
    shapes = ["(28, 28, 1)", "(7, 7, 1)", "(4, 4, 3)", "(4, 4, 3)"]
    largest = [1, 63, 255, 255]
    names = [*(f"Moving from {name}" for name in NAMES), "tfd.PixelCNN itself"]
    assert [line[0] for line in found] == names
    assert [line[2] for line in found] == shapes
    for (_, nats, _, low, high), most in zip(found, largest, strict=True):
        assert np.isfinite(float(nats))
        assert 0 <= int(low) < int(high) <= most
    # An untrained network knows nothing.
    assert abs(float(found[0][1]) - 784 * np.log(2)) < 60
    assert abs(float(found[1][1]) - 49 * np.log(64)) < 10

    assert "later pixels. Before its first step: yes" in printed
    assert "later pixels. After it: no" in printed
    rows = re.findall(r"^\| (.+?) \| [\d,]+ \| ([\d.]+) s \| .* \|$", printed, re.M)
    assert [name for name, _ in rows] == [*NAMES, NAMES[-1]]
    assert all(float(seconds) > 0 for _, seconds in rows)
