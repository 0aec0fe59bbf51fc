import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.models.pixel_networks import PixelNetwork
from keras_genimg.serving.model_endpoints import served_conditions
from tests.inputs.test_sizes import Batches
from tests.seldom import slow_but


class Shifted(AutoregressiveModel):
    """A model whose labels begin at 2."""

    condition_ranges = {"label": (2, 4)}


class Misspelt(AutoregressiveModel):
    condition_ranges = {"lable": (2, 4)}


def make(kind, **options):
    images = keras.Input((3, 4, 1), name="images")
    label = keras.Input((), dtype="int32", name="label")
    vector = layers.Reshape((1, 1, 5))(layers.Embedding(5, 5)(label))
    x = MaskedConv2D(5, 3, "A")(images) + vector
    outputs = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    return kind([images, label], outputs, **options)


def test_both_ends_of_a_range_hold():
    model = make(Shifted)
    drawn = model.generate(2, seed=0, conditions=[2, 4])
    assert drawn.shape == (2, 3, 4, 1)
    # Keras reads a column of labels, too.
    again = model.generate(2, seed=0, conditions=[[2], [4]])
    np.testing.assert_array_equal(again, drawn)
    for label in (1, 5):
        with pytest.raises(ValueError, match="`label` of .* integers from 2 to 4"):
            model.generate(1, conditions=[label])
    served = served_conditions(model, model.image_shape)["label"]
    assert (served.low, served.high) == (2, 4)


def test_a_range_without_an_input_is_refused():
    text = r"`condition_ranges` of .*which are \['label'\].*Received: \['lable'\]"
    with pytest.raises(ValueError, match=text):
        make(AutoregressiveModel, condition_ranges={"lable": (2, 4)})
    model = make(Misspelt)
    with pytest.raises(ValueError, match=text):
        model.generate(1, conditions=[3])
    model.compile("sgd")
    x = {"images": np.zeros((1, 3, 4, 1)), "label": np.array([3])}
    with pytest.raises(ValueError, match=text):
        model.fit(x, verbose=0)


def test_ranges_of_a_graph_are_saved(tmp_path):
    """A GPU would look up zeros for a label that is out of range."""
    ranges = {"label": (0, 4)}
    model = make(AutoregressiveModel, condition_ranges=ranges)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.condition_ranges == model.condition_ranges == ranges
    for one in (model, loaded):
        with pytest.raises(ValueError, match="`label` of .* integers from 0 to 4"):
            one.generate(1, conditions=[5])
    assert "condition_ranges" not in make(Shifted).get_config()
    assert AutoregressiveModel.condition_ranges == {}


IMAGES = np.zeros((4, 3, 4, 1), "float32")
GOOD = {
    "label": np.array([0, 1, 2, 4]),
    "vector": np.ones((4, 2), "float32"),
    "digit": np.array([2, 1, 0, 2], "uint8"),
}
INTEGERS = r"`label` of cnn must be integers from -2147483648 to 2147483647\. Received"
FINITE = r"`vector` of cnn must be finite numbers\. Received"
DIGITS = r"`digit` of cnn must be integers from 0 to 2\. Received: \["
BAD = {
    "label 0.7": ({"label": GOOD["label"] + 0.7}, INTEGERS),
    "label nan": ({"label": np.full(4, np.nan)}, INTEGERS),
    "label whole floats": ({"label": GOOD["label"] * 1.0}, INTEGERS),
    "label 2**32": ({"label": GOOD["label"] + 2**32}, INTEGERS),
    "label 2**63": ({"label": np.full(4, 2**63 + 1, "uint64")}, INTEGERS),
    "label text": ({"label": np.array(["a", "b", "c", "d"])}, INTEGERS),
    "vector nan": ({"vector": GOOD["vector"] * np.nan}, FINITE),
    "vector inf": ({"vector": GOOD["vector"] * -np.inf}, FINITE),
    "vector 1e300": ({"vector": np.full((4, 2), 1e300)}, FINITE),
    "vector complex": ({"vector": GOOD["vector"] + 1j}, FINITE),
    "vector text": ({"vector": np.full((4, 2), "a")}, FINITE),
    "digit 3": ({"digit": np.array([2, 1, 0, 3])}, DIGITS),
    "digit -1": ({"digit": np.array([2, 1, 0, -1])}, DIGITS),
    "digit 0.5": ({"digit": np.array([2, 1, 0, 0.5])}, DIGITS),
}


@pytest.fixture(scope="module")
def model():
    """Return a model of which one condition has a range of its own."""
    images = keras.Input((3, 4, 1), name="images")
    label = keras.Input((), dtype="int32", name="label")
    vector = keras.Input((2,), name="vector")
    digit = keras.Input((), dtype="int32", name="digit")
    all_three = layers.Dense(5)(vector)
    all_three += layers.Embedding(5, 5)(label) + layers.Embedding(3, 5)(digit)
    x = MaskedConv2D(5, 3, "A")(images) + layers.Reshape((1, 1, 5))(all_three)
    outputs = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    model = AutoregressiveModel(
        [images, label, vector, digit],
        outputs,
        condition_ranges={"digit": (0, 2)},
        name="cnn",
    )
    model.compile("sgd")
    return model


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused_by_every_call(model, name):
    """NaN drew black images, and integers were cut to those below."""
    values, text = BAD[name]
    conditions = {**GOOD, **values}
    x = {"images": IMAGES, **conditions}
    good = {"images": IMAGES, **GOOD}
    known = np.eye(3, 4)
    for call in (
        lambda: model.generate(4, conditions=conditions),
        lambda: model.complete(IMAGES, known, conditions=conditions),
        lambda: model.log_prob(x),
        lambda: model.log_prob(list(x.values())),
        lambda: model.log_prob(tf.data.Dataset.from_tensors(x)),
        lambda: model.bits_per_dim(x),
        lambda: model.fit(x),
        lambda: model.evaluate(x),
        lambda: model.fit(good, validation_data=x),
    ):
        with pytest.raises(ValueError, match=text):
            call()
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_vector_of_another_size_gets_no_advice_about_maps(model):
    conditions = {**GOOD, "vector": GOOD["vector"][:, :1]}
    text = r"`vector` of cnn must have the shape \(4, 2\).* 4 images\. Received"
    with pytest.raises(ValueError, match=text):
        model.generate(4, conditions=conditions)


STEPPED = ["label 0.7", "vector nan", "digit 3"]


@pytest.mark.parametrize("name", slow_but(STEPPED, "vector nan"))
def test_bad_values_are_refused_in_steps(model, name):
    values, text = BAD[name]
    good = {"images": IMAGES, **GOOD}
    x = {**good, **values}
    # Keras makes one type of several batches.
    data = Batches([good, x] if name == "vector nan" else [x])
    for call in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=text):
            call(data, verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_values_of_other_types_that_fit(model):
    drawn = model.generate(4, seed=1, conditions=GOOD)
    nats = model.log_prob({"images": IMAGES, **GOOD})
    data = tf.data.Dataset.from_tensors(({"images": IMAGES, **GOOD},))
    np.testing.assert_array_equal(model.log_prob(data), nats)
    for dtypes in (("uint8", "float64", "int32"), ("uint64", "int32", "int16")):
        conditions = {
            name: GOOD[name].astype(dtype)
            for name, dtype in zip(GOOD, dtypes, strict=True)
        }
        again = model.generate(4, seed=1, conditions=conditions)
        np.testing.assert_array_equal(again, drawn)
        x = {"images": IMAGES, **conditions}
        np.testing.assert_allclose(model.log_prob(x), nats, rtol=1e-6)
        np.testing.assert_allclose(model.evaluate(x, verbose=0)[0], -nats.mean(), 1e-6)


def test_integers_of_a_narrow_type_and_booleans():
    images = keras.Input((3, 4, 1), name="images")
    small = keras.Input((2,), dtype="uint8", name="small")
    flag = keras.Input((2,), dtype="bool", name="flag")
    both = layers.Rescaling(1.0)(small) + layers.Rescaling(1.0)(flag)
    x = MaskedConv2D(2, 3, "A")(images) + layers.Reshape((1, 1, 2))(both)
    outputs = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    model = AutoregressiveModel([images, small, flag], outputs)
    ones = np.ones((1, 2), int)
    for flags in (ones > 0, ones):
        model.generate(1, conditions={"small": 255 * ones, "flag": flags})
    with pytest.raises(ValueError, match="`small` of .* from 0 to 255. Received: .256"):
        model.generate(1, conditions={"small": 256 * ones, "flag": ones})
    with pytest.raises(ValueError, match="`flag` of .* from 0 to 1. Received: .2"):
        model.generate(1, conditions={"small": ones, "flag": 2 * ones})


def test_a_dict_of_inputs_has_the_images_by_name_or_first():
    """Keras sorts it by name, so a condition was taken for the images."""
    images = keras.Input((3, 4, 1), name="images")
    condition = keras.Input((3, 4, 1), name="condition")
    x = MaskedConv2D(2, 3, "A")(images) + layers.Conv2D(2, 1)(condition)
    outputs = MaskedConv2D(1, 1, "B", dtype="float32")(x)
    listed = AutoregressiveModel([images, condition], outputs)
    maps = np.ones((4, 3, 4, 1), "float32")
    x = {"condition": maps, "images": IMAGES}
    model = AutoregressiveModel({"condition": condition, "images": images}, outputs)
    again = AutoregressiveModel.from_config(model.get_config())
    for each in (model, again):
        assert [tensor.name for tensor in each.inputs] == ["images", "condition"]
    np.testing.assert_array_equal(model.log_prob(x), listed.log_prob(x))
    model.compile("sgd", run_eagerly=True)
    model.fit(x, verbose=0)
    other = keras.Input((3, 4, 1), name="picture")
    shifted = MaskedConv2D(1, 3, "A", dtype="float32")(other)
    outputs = shifted + layers.Conv2D(1, 1)(condition)
    model = AutoregressiveModel({"picture": other, "condition": condition}, outputs)
    assert model.inputs[0].name == "picture"


class Family(PixelNetwork):
    """A family of networks without labels."""

    def __init__(self, units, **kwargs):
        def network(images, units, **_):
            x = MaskedConv2D(units, 3, "A")(images)
            return MaskedConv2D(1, 1, "B", dtype="float32")(x)

        shared = {"image_shape": (3, 4, 1), "likelihood": "bernoulli", "dtype": None}
        super().__init__({**shared, "units": units}, network, **kwargs)


def test_a_family_without_classes():
    """It could be built, but neither trained nor evaluated."""
    model = Family(2)
    model.compile("sgd", run_eagerly=True)
    model.fit(IMAGES, verbose=0)
    assert model.generate(1).shape == (1, 3, 4, 1)
    assert model.condition_ranges == {}
