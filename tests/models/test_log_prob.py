"""The log-probability of images: its signature and its bits, in all families."""

import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_genimg as kg
from keras_genimg.causality.random_weights import randomize
from keras_genimg.models import LatentModel
from tests.causality.wired import wired


@pytest.mark.parametrize("method", ["log_prob", "bits_per_dim"])
@pytest.mark.parametrize("name", kg.models.__all__)
def test_all_families_have_one_signature(name, method):
    family = getattr(kg.models, name)
    _, images, *options = inspect.signature(getattr(family, method)).parameters.values()
    assert (images.name, images.default) == ("images", images.empty)
    assert {each.kind for each in options} == {inspect.Parameter.KEYWORD_ONLY}
    sampled = {"num_samples": 100, "seed": None}
    expected = sampled if issubclass(family, LatentModel) else {}
    if (name, method) == ("OrientedModel", "log_prob"):
        expected = {"orders": None}
    expected = {**expected, "batch_size": 64, "verbose": "auto"}
    assert {each.name: each.default for each in options} == expected


@pytest.mark.parametrize("num_images", [4, 5, 9])
def test_it_does_not_depend_on_the_number_of_images(num_images):
    """Keras takes a condition of one number for a bias if the batch is as large."""
    level = keras.Input((1, 1, 1), name="level")
    model = wired(lambda x, level: x + level, conditions=[level])
    randomize(model, seed=1)
    generator = np.random.default_rng(0)
    x = generator.integers(2, size=(num_images, 4, 5, 1))
    levels = generator.normal(size=(num_images, 1, 1, 1)).astype("float32")
    together = model.log_prob([x, levels])
    inputs = {"images": x, "level": levels}
    fixed = tf.data.Dataset.from_tensor_slices(inputs)
    fixed = fixed.batch(num_images, drop_remainder=True)
    alone = [model.log_prob([x[k : k + 1], levels[k : k + 1]]) for k in range(len(x))]
    np.testing.assert_allclose(together, np.concatenate(alone), rtol=1e-4)
    for data in (fixed, list(inputs.values())):
        loss = model.evaluate(data, batch_size=num_images, verbose=0)[0]
        np.testing.assert_allclose(loss, -np.mean(together), rtol=1e-4)


@pytest.mark.parametrize("num_images, is_known", [(9, False), (7, True), (18, False)])
def test_the_number_of_images_is_hidden_only_from_sizes_like_it(num_images, is_known):
    class Seen(keras.layers.Layer):
        pointwise = True

        def call(self, inputs):
            seen.append(inputs.shape[0])
            return inputs

    seen = []

    def middle(x):
        x = Seen()(x)  # 18 is no size of a weight.
        return keras.ops.concatenate([x, x], axis=-1)[..., :9]

    model = wired(middle)
    model.check_causality = False
    model.evaluate(np.zeros((num_images, 4, 5, 1)), batch_size=num_images, verbose=0)
    assert seen[-1] == (num_images if is_known else None)


def test_tensorflow_warns_of_no_trace_when_models_are_compared(caplog, monkeypatch):
    monkeypatch.setattr(tf.get_logger(), "handlers", [caplog.handler])
    images = np.zeros((1, 3, 3, 1), "float32")
    for _ in range(6):
        kg.models.PixelCNN((3, 3, 1), units=2, num_blocks=1).log_prob(images)
    assert not caplog.text
