import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.callbacks import Resume
from keras_genimg.fitting.data import with_images_as_targets
from keras_genimg.models import VAE, GatedPixelCNN
from tests.inputs.sources import IMAGES, LABELS, Batches, dataset, small, with_labels

WEIGHTS = np.array([2, 0, 1, 0.5] * 2, "float32")


@pytest.fixture(scope="module")
def model():
    return small()


class Triples(Batches):
    """Batches of inputs, targets and weights."""

    def __getitem__(self, index):
        return self.batches[index]


class Weighted(Batches):
    """Batches of images, which are their targets, and weights."""

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


def triples(x, y, weights=WEIGHTS):
    """Return two batches of inputs, targets and weights."""
    return [
        tf.nest.map_structure(lambda array, i=index: array[i : i + 4], (x, y, weights))
        for index in (0, 4)
    ]


def known(batches):
    return tf.data.Dataset.from_tensor_slices(
        tf.nest.map_structure(lambda *parts: np.concatenate(parts), *batches)
    ).batch(4)


def torch_loader(batches):
    data = pytest.importorskip("torch.utils.data")
    return data.DataLoader(batches, batch_size=None)


SOURCES = {
    "PyDataset": Triples,
    "generator": lambda batches: (batch for batch in batches),
    "tf.data": known,
    "tf.data of unknown sizes": dataset,
    "torch": torch_loader,
}
EVERY_SOURCE = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
# A pixel of one image in the second batch.
OTHER = IMAGES.copy()
OTHER[6, 1, 2] = 1 - OTHER[6, 1, 2]
OTHERS = (
    r"With weights, give the images in place of targets, .*\.map\(lambda.*Received: "
)


@EVERY_SOURCE
def test_weights_of_every_source_come_with_the_images(model, source):
    weighed = pytest.approx(WEIGHTS @ -model.log_prob(IMAGES) / 8, rel=1e-5)
    loss, _ = model.evaluate(source(triples(IMAGES, IMAGES)), verbose=0, steps=2)
    assert loss == weighed
    fitted = small()
    fitted.set_weights(model.get_weights())
    fitted.optimizer.learning_rate = 0
    history = fitted.fit(
        source(triples(IMAGES, IMAGES)),
        validation_data=source(triples(IMAGES, IMAGES)),
        steps_per_epoch=2,
        validation_steps=2,
        verbose=0,
    ).history
    assert history["loss"] == history["val_loss"] == [weighed]


def without_images():
    return [(images, None, w) for images, _, w in triples(IMAGES, IMAGES)]


def without_targets(dataset):
    return dataset.map(lambda images, targets, weights: (images, None, weights))


WITHOUT_TARGETS = {
    "generator": lambda: (batch for batch in without_images()),
    "tf.data": lambda: without_targets(known(triples(IMAGES, IMAGES))),
    "tf.data of unknown sizes": lambda: without_targets(
        dataset(triples(IMAGES, IMAGES))
    ),
}


@pytest.mark.parametrize("make", WITHOUT_TARGETS.values(), ids=WITHOUT_TARGETS)
def test_none_in_place_of_the_images(model, make):
    """Several replicas could not read it; see also `tests.conformance.replicas`."""
    weighed = pytest.approx(WEIGHTS @ -model.log_prob(IMAGES) / 8, rel=1e-5)
    loss, _ = model.evaluate(make(), verbose=0, steps=2)
    assert loss == weighed
    _, targets, _ = next(iter(with_images_as_targets(make(), model, "fit")))
    np.testing.assert_array_equal(targets, IMAGES[:4])


def test_a_py_dataset_needs_the_images(model):
    """Keras fails on None in it, in a thread of its own."""
    for call in (model.evaluate, model.fit):
        with pytest.raises(ValueError, match="give the images in place.*y=None"):
            call(Triples(without_images()), verbose=0)


@pytest.mark.parametrize(
    "mode, source",
    [
        ("plain", "PyDataset"),
        ("plain", "tf.data of unknown sizes"),
        ("plain", "torch"),
        ("eager", "generator"),
        ("steps", "tf.data"),
        pytest.param("xla", "tf.data", marks=pytest.mark.slow),
        pytest.param("steps with xla", "PyDataset", marks=pytest.mark.slow),
    ],
)
def test_other_targets_beside_weights_are_refused(mode, source):
    """They were dropped, and training was that of the images."""
    model, make = small(mode), SOURCES[source]
    text = f"of cnn takes.*{OTHERS}.*{OTHER[6, 1, 2, 0]} where an image has another"
    for call, what in ((model.evaluate, "Evaluation"), (model.fit, "Training")):
        with pytest.raises(ValueError, match=f"^{what} {text}"):
            call(make(triples(IMAGES, OTHER)), verbose=0)
    # The errors leave no state behind.
    assert np.isfinite(model.evaluate(IMAGES, sample_weight=WEIGHTS, verbose=0)).all()
    with pytest.raises(ValueError, match=f"^Evaluation {text}"):
        model.fit(IMAGES, validation_data=make(triples(IMAGES, OTHER)), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize(
    "targets",
    [
        np.arange(8),
        IMAGES[:, :2],
        IMAGES[..., :1, :1, :1],
        np.full((8, 3, 4, 1), "a"),
        IMAGES * np.nan,
    ],
    ids=["labels", "rows", "pixels", "strings", "NaN"],
)
def test_targets_of_other_shapes_and_kinds_are_refused(targets):
    model = small()
    data = triples(IMAGES, targets)
    for call in (
        lambda: model.evaluate(known(data), verbose=0),
        lambda: model.evaluate(dataset(data), verbose=0),
        lambda: model.train_on_batch(IMAGES, targets, WEIGHTS),
        lambda: model.fit(IMAGES, targets, sample_weight=WEIGHTS, verbose=0),
    ):
        with pytest.raises(ValueError, match=OTHERS):
            call()


def test_bad_images_are_named_before_their_targets(model):
    spoiled = IMAGES * np.nan
    for data in ((spoiled, spoiled), (spoiled, IMAGES)):
        with pytest.raises(ValueError, match="of cnn expects pixels"):
            model.evaluate(Triples(triples(*data)), verbose=0)
        with pytest.raises(ValueError, match="of cnn expects pixels"):
            model.test_on_batch(spoiled, spoiled, WEIGHTS)


def test_weights_of_arrays_may_come_with_the_images(model):
    expected = model.test_on_batch(IMAGES, sample_weight=WEIGHTS)
    weighed = pytest.approx(expected[0])
    for targets in (None, IMAGES, IMAGES.astype(bool), tf.constant(IMAGES)):
        data = IMAGES, targets, WEIGHTS
        assert model.test_on_batch(*data) == expected
        loss, _ = model.evaluate(data[0], data[1], sample_weight=data[2], verbose=0)
        assert loss == weighed
        fitted = model.fit(IMAGES[:1], validation_data=data, verbose=0).history
        expected = model.test_on_batch(IMAGES, sample_weight=WEIGHTS)
        weighed = pytest.approx(expected[0])
        assert fitted["val_loss"] == [weighed]
    for data, text in (
        ((IMAGES, OTHER, WEIGHTS), f"takes no targets.*{OTHERS}"),
        ((IMAGES, IMAGES), "takes no targets.*Pass the images alone"),
        ((IMAGES, IMAGES, WEIGHTS + np.inf), "`sample_weight` of cnn must be finite"),
    ):
        with pytest.raises(ValueError, match=text):
            model.fit(IMAGES, validation_data=data, verbose=0)
        for call in (model.train_on_batch, model.test_on_batch):
            with pytest.raises(ValueError, match=text):
                call(*data)


def test_weights_with_conditions():
    model = with_labels()
    x = {"images": IMAGES, "label": LABELS}
    expected = model.test_on_batch(x, sample_weight=WEIGHTS)[0]
    for data in (Triples(triples(x, IMAGES)), known(triples(x, IMAGES))):
        loss = model.evaluate(data, verbose=0)[0]
        assert loss == pytest.approx(expected)
    pair = [IMAGES, LABELS]
    model.optimizer.learning_rate = 0
    for validation in ((x, IMAGES, WEIGHTS), (pair, None, WEIGHTS)):
        history = model.fit(x, validation_data=validation, verbose=0).history
        assert history["val_loss"] == [pytest.approx(expected)]
    # A tuple of as many arrays as inputs holds these.
    history = model.fit(x, validation_data=(IMAGES, LABELS), verbose=0).history
    assert history["val_loss"] == [pytest.approx(model.test_on_batch(x)[0])]
    with pytest.raises(ValueError, match=r'inputs\["images"\], weights\)\)`'):
        model.evaluate(Triples(triples(x, LABELS)), verbose=0)
    with pytest.raises(ValueError, match="takes no targets"):
        model.fit(x, validation_data=(x, IMAGES), verbose=0)


def test_data_without_targets_and_with_weights(model):
    """`tf.data` and generators can say so; `PyDataset`s of Keras cannot."""
    expected = model.test_on_batch(IMAGES, sample_weight=WEIGHTS)
    data = known(triples(IMAGES, IMAGES)).map(lambda x, y, w: (x, None, w))
    assert model.evaluate(data, verbose=0) == pytest.approx(expected)
    batches = ((x, None, w) for x, _, w in triples(IMAGES, IMAGES))
    assert model.evaluate(batches, steps=2, verbose=0) == pytest.approx(expected)


def test_resume_keeps_weights_of_validation_data(tmp_path, model):
    fitted = model.fit(
        IMAGES,
        validation_data=(IMAGES, IMAGES, WEIGHTS),
        callbacks=[Resume(tmp_path)],
        verbose=0,
    ).history
    loss, _ = model.test_on_batch(IMAGES, sample_weight=WEIGHTS)
    assert fitted["val_loss"] == [pytest.approx(loss)]


def test_a_loop_of_ones_own_refuses_other_targets():
    model = small()
    assert set(model.train_step((IMAGES, IMAGES, WEIGHTS))) == {"loss", "bits_per_dim"}
    with pytest.raises(tf.errors.InvalidArgumentError, match="are not the images"):
        model.train_step((IMAGES, OTHER, WEIGHTS))
