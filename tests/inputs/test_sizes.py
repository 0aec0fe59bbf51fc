import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import VAE, AutoregressiveModel, PixelCNN
from tests.fitting.one_convolution import one_convolution
from tests.seldom import slow_but

IMAGES = np.random.default_rng(0).integers(0, 2, (6, 3, 4, 1)).astype("float32")
TURNED = np.moveaxis(IMAGES, 1, 2)
MAPS = np.random.default_rng(1).normal(size=(6, 3, 4, 2)).astype("float32")
LABELS = np.array([0, 1, 2, 0, 1, 2])
MODES = {
    "plain": {},
    "xla": {"jit_compile": True},
    "eager": {"run_eagerly": True},
    "steps": {"steps_per_execution": 2},
    "steps with xla": {"steps_per_execution": 2, "jit_compile": True},
}


def small(mode="plain"):
    model = one_convolution((3, 4, 1))
    model.compile(keras.optimizers.SGD(0.01), **MODES[mode])
    return model


def with_map(shape=(3, 4, 2), image_shape=(3, 4, 1), mode="plain"):
    images = keras.Input(image_shape, name="images")
    maps = keras.Input(shape, name="map")
    x = MaskedConv2D(2, 3, "A")(images) + keras.layers.Dense(2)(maps)
    x = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    model = AutoregressiveModel([images, maps], x, name="cnn")
    model.compile(keras.optimizers.SGD(0.01), **MODES[mode])
    return model


def with_label(mode="plain"):
    model = PixelCNN((3, 4, 1), 2, 1, num_classes=3, first_kernel_size=3, name="cnn")
    model.compile(keras.optimizers.SGD(0.01), **MODES[mode])
    return model


class Batches(keras.utils.PyDataset):
    def __init__(self, batches):
        super().__init__()
        self.batches = batches

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        return (self.batches[index],)


def generator(batches):
    return ((batch,) for batch in batches)


def dataset(batches):
    """Return a data set that knows the ranks only."""
    signature = tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * np.ndim(array), array.dtype), batches[0]
    )
    data = tf.data.Dataset.from_generator(
        lambda: iter(batches), output_signature=signature
    )
    return data.apply(tf.data.experimental.assert_cardinality(len(batches)))


SOURCES = {"PyDataset": Batches, "generator": generator, "tf.data": dataset}
OTHER_SIZE = (
    r"of cnn expects images of shape \(batch, height, width, colors\) = "
    r"\(None, 3, 4, 1\)\. Received: shape=\(6, 4, 3, 1\)"
)


@pytest.mark.parametrize(
    "mode, source",
    [
        *(("plain", source) for source in SOURCES),
        pytest.param("xla", "tf.data", marks=pytest.mark.slow),
        ("eager", "generator"),
        ("steps", "tf.data"),
    ],
)
def test_images_of_another_size_in_a_later_batch(mode, source):
    model = small(mode)
    make = SOURCES[source]
    with pytest.raises(ValueError, match=f"^Training {OTHER_SIZE}"):
        model.fit(make([IMAGES, TURNED]), verbose=0)
    with pytest.raises(ValueError, match=f"^Evaluation {OTHER_SIZE}"):
        model.evaluate(make([IMAGES, TURNED]), verbose=0)
    with pytest.raises(ValueError, match=f"^Evaluation {OTHER_SIZE}"):
        model.fit(IMAGES, validation_data=make([IMAGES, TURNED]), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("source", SOURCES)
def test_images_without_a_color_axis(source):
    """Keras would add it."""
    model = small()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="Add the color axis"):
            call(SOURCES[source]([IMAGES[..., 0]] * 2), verbose=0)


@pytest.mark.slow
def test_images_of_another_size_of_other_models_and_calls():
    model = VAE((3, 4, 1), 2, 3, name="cnn")
    model.compile("sgd")
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=OTHER_SIZE):
            call(dataset([TURNED]), verbose=0)
    for call in (model.elbo, model.log_prob, small().log_prob):
        with pytest.raises(ValueError, match=r"Received: shape=\(6, 4, 3, 1\)"):
            call(dataset([IMAGES, TURNED]))
    any_size = PixelCNN((None, None, 1), 2, 1, first_kernel_size=3)
    any_size.compile("sgd")
    any_size.fit(dataset([IMAGES, TURNED]), verbose=0)
    assert any_size.log_prob(dataset([IMAGES, TURNED])).shape == (12,)


def test_data_sets_of_unknown_rank_are_refused_before_training():
    unknown = tf.data.Dataset.from_generator(
        lambda: iter([IMAGES]), output_signature=tf.TensorSpec(None)
    )
    model = small()
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match="number of axes.*tf.ensure_shape"):
            call(unknown)
    with pytest.raises(ValueError, match="^validation_data needs to know the number"):
        model.fit(IMAGES, validation_data=unknown)
    np.testing.assert_array_equal(model.log_prob(unknown), model.log_prob(IMAGES))


BAD_MAPS = {
    "1x1": MAPS[:, :1, :1],
    "a row": MAPS[:, :1],
    "a column": MAPS[:, :, :1],
    "turned": np.moveaxis(MAPS, 1, 2),
    "a channel less": MAPS[..., :1],
    "larger": np.repeat(MAPS, 2, axis=1),
    "no channels": MAPS[..., 0],
    "one for all": MAPS[:1],
    "one less": MAPS[:5],
}


@pytest.fixture(scope="module")
def mapped():
    return with_map()


@pytest.mark.parametrize("name", BAD_MAPS)
def test_a_map_of_another_size_is_refused_by_every_call(mapped, name):
    maps, known = BAD_MAPS[name], np.eye(3, 4)
    text = r"`map` of cnn must have the shape \(.*\), with one element for each of the"
    for call in (
        lambda: mapped.generate(6, conditions=maps),
        lambda: mapped.complete(IMAGES, known, conditions=maps),
        lambda: mapped.log_prob([IMAGES, maps]),
        lambda: mapped.log_prob({"images": IMAGES, "map": maps}),
        lambda: mapped.log_prob(dataset([{"images": IMAGES, "map": maps}])),
        lambda: mapped.bits_per_dim([IMAGES, maps]),
        lambda: mapped.fit([IMAGES, maps]),
        lambda: mapped.evaluate([IMAGES, maps]),
        lambda: mapped.fit([IMAGES, MAPS], validation_data=[IMAGES, maps]),
        lambda: mapped.train_on_batch([IMAGES, maps]),
        lambda: mapped.test_on_batch([IMAGES, maps]),
    ):
        with pytest.raises(ValueError, match=text):
            call()


@pytest.mark.parametrize(
    "name", slow_but(["1x1", "turned", "one for all", "one less"], "1x1", "one less")
)
def test_a_map_of_another_size_in_a_later_batch(mapped, name):
    x = [{"images": IMAGES, "map": maps} for maps in (MAPS, BAD_MAPS[name])]
    for call in (mapped.fit, mapped.evaluate):
        with pytest.raises(ValueError, match="^`map` of cnn must have the shape"):
            call(dataset(x), verbose=0)


def test_maps_of_any_size_are_not_repeated():
    """Keras would repeat a map of one row or column."""
    model = with_map((None, None, 2), (None, None, 1))
    text = "`map` of cnn must have the shape.*use the size 1 in its keras.Input"
    for maps in (MAPS[:, :1, :1], MAPS[:, :1], MAPS[:, :, :1]):
        for call in (
            lambda maps: model.generate(6, conditions=maps, image_size=(3, 4)),
            lambda maps: model.complete(IMAGES, np.eye(3, 4), conditions=maps),
            lambda maps: model.log_prob([IMAGES, maps]),
            lambda maps: model.fit([IMAGES, maps]),
            lambda maps: model.fit(
                dataset([{"images": IMAGES, "map": maps}]), verbose=0
            ),
            lambda maps: model.train_on_batch([IMAGES, maps]),
        ):
            with pytest.raises(ValueError, match=text):
                call(maps)
    rows = {"images": IMAGES[:, :1], "map": MAPS[:, :1]}
    model.fit(dataset([{"images": IMAGES, "map": MAPS}, rows]), verbose=0)
    declared = with_map((1, 1, 2), mode="eager")
    declared.fit([IMAGES, MAPS[:, :1, :1]], verbose=0)


@pytest.mark.parametrize("mode", ["steps", pytest.param("xla", marks=pytest.mark.slow)])
def test_labels_of_another_length(mode):
    model = with_label(mode)
    text = "`label` of cnn must have the shape.*one element for each of the 6 images"
    for labels in (LABELS[:1], LABELS[:5], LABELS.reshape(3, 2), LABELS[0]):
        for call in (model.fit, model.evaluate, model.log_prob, model.test_on_batch):
            with pytest.raises(ValueError, match=text):
                call({"images": IMAGES, "label": labels})
    good = {"images": IMAGES, "label": LABELS}
    for labels in (LABELS[:1], LABELS[:5]):
        for make in (Batches, generator, dataset):
            with pytest.raises(ValueError, match=text):
                model.evaluate(make([good, {**good, "label": labels}]), verbose=0)
    nats = model.evaluate(good, verbose=0, batch_size=6)
    for make in (Batches, generator, dataset):
        again = model.evaluate(make([good, good]), verbose=0, steps=2)
        np.testing.assert_allclose(again, nats, rtol=1e-6)


def test_a_column_of_labels_is_read_as_keras_does():
    model, column = with_label(), LABELS[:, None]
    nats = model.log_prob([IMAGES, LABELS])
    np.testing.assert_allclose(model.log_prob([IMAGES, column]), nats, rtol=1e-6)
    loss, _ = model.evaluate([IMAGES, column], verbose=0)
    np.testing.assert_allclose(loss, -nats.mean(), rtol=1e-6)
