import keras
import numpy as np
import pytest

from keras_genimg.commands.label_effect import label_effect
from keras_genimg.models import AutoregressiveModel

LOGITS = np.array([-1.0, 0.0, 2.0])


def pixels_of_classes(logits):
    """Return a model whose four pixels are independent, with a logit for each class."""
    images = keras.Input((2, 2, 1), name="images")
    label = keras.Input((), name="label", dtype="int32")
    embedding = keras.layers.Embedding(len(logits), 1)
    params = keras.layers.Reshape((1, 1, 1))(embedding(label))
    params = params + keras.ops.zeros_like(images)
    ranges = {"label": (0, len(logits) - 1)}
    model = AutoregressiveModel([images, label], params, condition_ranges=ranges)
    model.set_weights([np.reshape(logits, (-1, 1))])
    return model


def test_own_labels_are_compared_with_all_others():
    images = np.zeros((3, 2, 2, 1))
    images[2] = 1
    found = label_effect(
        pixels_of_classes(LOGITS),
        {"images": images, "label": np.array([0, 1, 2])},
        num_classes=3,
    )
    black, white = 4 * np.logaddexp(0, LOGITS), 4 * np.logaddexp(0, -LOGITS)
    own = np.array([black[0], black[1], white[2]])
    others = np.array(
        [
            (black[1] + black[2]) / 2,
            (black[0] + black[2]) / 2,
            (white[0] + white[1]) / 2,
        ]
    )
    np.testing.assert_allclose(found.nats, (others - own).mean(), rtol=1e-5)
    np.testing.assert_allclose(found.share, found.nats / own.mean(), rtol=1e-5)
    # The first class makes black images likeliest, and the third one white images.
    np.testing.assert_allclose(found.accuracy, 2 / 3)
    assert "67% of 3 are likeliest with their own (33% by chance)" in str(found)


@pytest.mark.parametrize(
    "logits, alike", [([0, 0.001], True), ([-1, 1], False)], ids=["weak", "strong"]
)
def test_weak_labels_are_said_to_be_weak(logits, alike):
    data = {"images": np.zeros((2, 2, 2, 1)), "label": np.array([0, 0])}
    found = label_effect(pixels_of_classes(np.array(logits)), data, num_classes=2)
    assert ("different classes look alike" in str(found)) == alike


def test_few_of_many_images_are_taken():
    """A forward pass for each class takes long."""
    data = {"images": np.zeros((1500, 2, 2, 1)), "label": np.zeros(1500, int)}
    assert label_effect(pixels_of_classes(LOGITS), data, 3).num_images == 666
