import keras
import numpy as np
import pytest

from keras_genimg.models import VAE, GatedPixelCNN
from tests.fitting.one_convolution import one_convolution
from tests.inputs.test_sizes import Batches

IMAGES = np.random.default_rng(0).integers(0, 2, (4, 4, 5, 1)).astype("uint8")
WEIGHTS = np.array([2, 0, 1, 0.5], "float32")


@pytest.fixture(scope="module")
def model():
    model = one_convolution((4, 5, 1))
    model.compile("sgd")
    return model


def test_weights_weigh_the_images_by_name_and_by_position(model):
    """By position they were dropped, and the loss was that without weights."""
    weighed = WEIGHTS @ -model.log_prob(IMAGES) / 4
    by_name = model.evaluate(IMAGES, sample_weight=WEIGHTS, verbose=0)
    np.testing.assert_allclose(by_name[0], weighed, rtol=1e-5)
    assert model.evaluate(IMAGES, None, 32, 0, WEIGHTS) == by_name
    weights = model.get_weights()
    arguments = {
        "batch_size": 4,
        "epochs": 2,
        "verbose": 0,
        "callbacks": None,
        "validation_split": 0.0,
        "validation_data": IMAGES[:2],
        "shuffle": False,
        "class_weight": None,
        "sample_weight": WEIGHTS,
    }
    expected = model.fit(IMAGES, None, **arguments).history
    model.set_weights(weights)
    history = model.fit(IMAGES, None, *arguments.values()).history
    assert history == expected
    np.testing.assert_allclose(history["loss"][0], weighed, rtol=1e-5)
    assert {"loss", "val_loss"} <= set(history)
    loss, _ = model.train_on_batch(IMAGES, None, np.zeros(4))
    assert loss == 0


def test_a_step_takes_columns_after_vectors():
    """The step, traced again for another rank, then knew neither."""
    model = GatedPixelCNN((4, 5, 1), 2, 1, num_classes=3)
    model.compile(keras.optimizers.SGD(0.0))
    labels, column = np.array([0, 1, 2, 1]), (4, 1)
    for call in (model.test_on_batch, model.train_on_batch):
        vectors = call([IMAGES, labels], sample_weight=WEIGHTS)
        given = [IMAGES, labels.reshape(column)]
        columns = call(given, sample_weight=WEIGHTS.reshape(column))
        assert columns[0] == pytest.approx(vectors[0])


def test_bad_arguments_by_position_are_refused(model):
    for call, text in (
        (
            lambda: model.fit(IMAGES, None, 4, 1, 0, None, 0.0, IMAGES + 2),
            "validation_data expects pixels",
        ),
        (lambda: model.fit(IMAGES, IMAGES), "takes no targets"),
        (lambda: model.evaluate(IMAGES, IMAGES), "takes no targets"),
        (
            lambda: model.fit(IMAGES, None, 4, 1, 0, None, 0.0, None, True, {0: 1.0}),
            "takes no `class_weight`",
        ),
        (lambda: model.train_on_batch(IMAGES, None, None, {0: 1.0}), "`class_weight`"),
        (lambda: model.evaluate(IMAGES, None, 4, 0, WEIGHTS * np.nan), "finite"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(ValueError, match="not recognized: {'samples': 3}"):
        model.evaluate(IMAGES, samples=3)


class Weighted(Batches):
    """Batches of images, unused targets and weights."""

    def __getitem__(self, index):
        return IMAGES, IMAGES, self.batches[index]


def test_weights_that_are_not_finite_are_refused(model):
    weights = np.array([2, 0, 1, np.nan], "float32")
    before = model.get_weights()
    for call in (
        lambda: model.fit(IMAGES, sample_weight=weights, batch_size=1),
        lambda: model.evaluate(IMAGES, sample_weight=weights, verbose=0),
        lambda: model.evaluate(IMAGES, sample_weight=[1, 1, 1, np.inf], verbose=0),
        lambda: model.evaluate(Weighted([WEIGHTS, weights]), verbose=0),
        lambda: model.test_on_batch(IMAGES, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match="`sample_weight` of cnn must be finite"):
            call()
    np.testing.assert_equal(model.get_weights(), before)
    for call in (
        lambda: model.fit(Weighted([WEIGHTS, weights]), verbose=0),
        lambda: model.train_on_batch(IMAGES, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match="`sample_weight` of cnn must be finite"):
            call()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_weights_of_another_shape_are_refused(model):
    text = r"`sample_weight` of cnn must have the shape \(.*,\), with one element for"
    for weights in (np.ones((4, 4, 5)), np.ones((4, 4, 5, 1)), np.ones(3), np.ones(1)):
        for call in (
            lambda weights: model.fit(IMAGES, sample_weight=weights),
            lambda weights: model.evaluate(IMAGES, sample_weight=weights),
            lambda weights: model.evaluate(Weighted([weights, weights]), verbose=0),
            lambda weights: model.train_on_batch(IMAGES, sample_weight=weights),
            lambda weights: model.test_on_batch(IMAGES, sample_weight=weights),
        ):
            with pytest.raises(ValueError, match=text):
                call(weights)
    loss, _ = model.evaluate(IMAGES, sample_weight=WEIGHTS, verbose=0)
    for column in (WEIGHTS[:, None], WEIGHTS.tolist()):
        again, _ = model.test_on_batch(IMAGES, sample_weight=np.array(column))
        np.testing.assert_allclose(again, loss, rtol=1e-6)
    again, _ = model.evaluate(Weighted([WEIGHTS, WEIGHTS]), verbose=0)
    np.testing.assert_allclose(again, loss, rtol=1e-6)


def test_weights_that_would_not_weigh_the_loss_are_refused():
    model = VAE((4, 5, 1), 2, 4)
    model.compile("sgd")
    with pytest.raises(ValueError, match="takes no `sample_weight`"):
        model.fit(IMAGES, sample_weight=WEIGHTS)
    for call in (
        lambda: model.evaluate(IMAGES, sample_weight=WEIGHTS),
        lambda: model.evaluate(Weighted([WEIGHTS]), verbose=0),
        lambda: model.fit(Weighted([WEIGHTS]), verbose=0),
        lambda: model.train_on_batch(IMAGES, sample_weight=WEIGHTS),
    ):
        with pytest.raises(ValueError, match="takes no `sample_weight`"):
            call()
