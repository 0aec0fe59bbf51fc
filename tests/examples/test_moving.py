import re
from typing import NamedTuple

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


class Line(NamedTuple):
    """A printed line of a model that generated images."""

    name: str
    nats: float
    shape: str
    smallest: int
    largest: int


@pytest.fixture(scope="module")
def printed(run_example):
    return run_example("moving.py --images 3 --pixels 2 --filters 4 --size 4")


@pytest.fixture
def lines(printed):
    pattern = r"^(.+): (\S+) nats .* drew 3 images of shape (\(.*\)), .* (\d+) to (\d+)"
    found = re.findall(pattern, printed, re.M)
    return [Line(a, float(b), c, int(d), int(e)) for a, b, c, d, e in found]


@pytest.mark.slow
def test_every_model_generates_images_of_its_shape(lines):
    names = [*(f"Moving from {name}" for name in NAMES), "tfd.PixelCNN itself"]
    shapes = ["(28, 28, 1)", "(7, 7, 1)", "(4, 4, 3)", "(4, 4, 3)"]
    assert [line.name for line in lines] == names
    assert [line.shape for line in lines] == shapes


@pytest.mark.slow
def test_pixels_are_in_the_range_of_their_model(lines):
    for line, most in zip(lines, [1, 63, 255, 255], strict=True):
        assert 0 <= line.smallest < line.largest <= most


@pytest.mark.slow
def test_an_untrained_network_knows_nothing(lines):
    binary, codes, *others = lines
    assert abs(binary.nats - 784 * np.log(2)) < 60
    assert abs(codes.nats - 49 * np.log(64)) < 10
    assert np.isfinite([line.nats for line in others]).all()


@pytest.mark.slow
def test_tfd_pixel_cnn_sees_later_pixels_before_its_first_step(printed):
    assert "later pixels. Before its first step: yes" in printed
    assert "later pixels. After it: no" in printed


@pytest.mark.slow
def test_the_table_has_a_row_for_each_way_to_generate(printed):
    rows = re.findall(r"^\| (.+?) \| [\d,]+ \| ([\d.]+) s \| .* \|$", printed, re.M)
    assert [name for name, _ in rows] == [*NAMES, NAMES[-1]]
    assert all(float(seconds) > 0 for _, seconds in rows)
