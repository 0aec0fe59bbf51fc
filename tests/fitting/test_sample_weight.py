import keras
import numpy as np
import pytest

from keras_genimg.models import VAE, GatedPixelCNN
from tests.inputs.test_sizes import IMAGES, Batches, small

WEIGHTS = np.array([2, 0, 1, 0.5] * 2, "float32")


@pytest.fixture(scope="module")
def model():
    return small()


class Weighted(Batches):
    """Batches of images, unused targets and weights."""

    def __getitem__(self, index):
        return IMAGES, IMAGES, self.batches[index]


def test_weights_weigh_the_images_by_name_and_by_position(model):
    """By position they were dropped, and the loss was that without weights."""
    weighed = WEIGHTS @ -model.log_prob(IMAGES) / 8
    by_name = model.evaluate(IMAGES, sample_weight=WEIGHTS, verbose=0)
    np.testing.assert_allclose(by_name[0], weighed, rtol=1e-5)
    assert model.evaluate(IMAGES, None, 32, 0, WEIGHTS) == by_name
    in_batches = model.evaluate(Weighted([WEIGHTS, WEIGHTS]), verbose=0)
    np.testing.assert_allclose(in_batches, by_name, rtol=1e-5)
    weights = model.get_weights()
    arguments = {
        "batch_size": 8,
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
    loss, _ = model.train_on_batch(IMAGES, None, np.zeros(8))
    assert loss == 0


def test_a_step_takes_columns_after_vectors():
    """The step, traced again for another rank, then knew neither."""
    model = GatedPixelCNN((3, 4, 1), 2, 1, num_classes=3)
    model.compile(keras.optimizers.SGD(0.0))
    labels, column = np.array([0, 1, 2, 1] * 2), (8, 1)
    for call in (model.test_on_batch, model.train_on_batch):
        vectors = call([IMAGES, labels], sample_weight=WEIGHTS)
        given = [IMAGES, labels.reshape(column)]
        columns = call(given, sample_weight=WEIGHTS.reshape(column))
        assert columns[0] == pytest.approx(vectors[0])


def test_bad_arguments_by_position_are_refused(model):
    first = (IMAGES, None, 4, 1, 0, None, 0.0)  # All before `validation_data`.
    for call, text in (
        (
            lambda: model.fit(*first, IMAGES + 2),
            "validation_data expects",
        ),
        (lambda: model.fit(IMAGES, IMAGES), "takes no targets"),
        (lambda: model.evaluate(IMAGES, IMAGES), "takes no targets"),
        (
            lambda: model.fit(*first, None, True, {0: 1.0}),
            "`class_weight`",
        ),
        (lambda: model.train_on_batch(IMAGES, None, None, {0: 1.0}), "`class_weight`"),
        (lambda: model.evaluate(IMAGES, None, 4, 0, WEIGHTS * np.nan), "finite"),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    with pytest.raises(ValueError, match="not recognized: {'samples': 3}"):
        model.evaluate(IMAGES, samples=3)


FINITE = "`sample_weight` of cnn must be finite"
SHAPE = r"`sample_weight` of cnn must have the shape \(.*,\), with one element for"
BAD = {
    "nan": (np.array([2, 0, 1, np.nan] * 2, "float32"), FINITE),
    "inf": (np.array([1, 1, 1, np.inf] * 2), FINITE),
    "of rows": (np.ones((8, 3, 4)), SHAPE),
    "of pixels": (np.ones((8, 3, 4, 1)), SHAPE),
    "one less": (np.ones(7), SHAPE),
    "one for all": (np.ones(1), SHAPE),
}


@pytest.mark.parametrize("weights, text", BAD.values(), ids=BAD)
def test_bad_weights_are_refused(model, weights, text):
    before, other = model.get_weights(), small()
    with pytest.raises(ValueError, match=text):
        model.fit(IMAGES, sample_weight=weights, batch_size=1)
    np.testing.assert_equal(model.get_weights(), before)
    for call in (
        lambda: model.evaluate(IMAGES, sample_weight=weights.tolist(), verbose=0),
        lambda: other.evaluate(Weighted([weights] * 2), verbose=0),
        lambda: other.fit(Weighted([weights] * 2), verbose=0),
        lambda: model.train_on_batch(IMAGES, sample_weight=weights),
        lambda: model.test_on_batch(IMAGES, sample_weight=weights),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    for weight in (*model.get_weights(), *other.get_weights()):
        assert np.isfinite(weight).all()


def test_weights_that_would_not_weigh_the_loss_are_refused():
    model = VAE((3, 4, 1), 2, 4)
    model.compile("sgd")
    for call in (
        lambda: model.fit(IMAGES, sample_weight=WEIGHTS),
        lambda: model.evaluate(IMAGES, sample_weight=WEIGHTS),
        lambda: model.evaluate(Weighted([WEIGHTS]), verbose=0),
        lambda: model.fit(Weighted([WEIGHTS]), verbose=0),
        lambda: model.train_on_batch(IMAGES, sample_weight=WEIGHTS),
    ):
        with pytest.raises(ValueError, match="takes no `sample_weight`"):
            call()
