import re
from functools import partial

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.inputs.images import in_range
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import AutoregressiveModel
from keras_genimg.serving.model_endpoints import served_conditions
from tests.inputs.sources import IMAGES, SOURCES, dataset, small
from tests.seldom import slow_but

MAPS = np.random.default_rng(1).normal(size=(8, 3, 4, 2)).astype("float32")
LABELS = np.array([0, 1, 2, 4, 0, 1, 2, 0])
GOOD = {
    "images": IMAGES,
    "label": LABELS,
    "vector": np.ones((8, 2), "float32"),
    "digit": np.array([2, 1, 0, 2] * 2, "uint8"),
    "map": MAPS,
}
KNOWN = np.eye(3, 4)


def label():
    return keras.Input((), dtype="int32", name="label")


@pytest.fixture(scope="module")
def model():
    """Return a model of which one condition has a range of its own."""
    vector = keras.Input((2,), name="vector")
    digit = keras.Input((), dtype="int32", name="digit")
    maps = keras.Input((3, 4, 2), name="map")
    ranges = {"digit": (0, 2)}
    return small(conditions=[label(), vector, digit, maps], condition_ranges=ranges)


class Shifted(AutoregressiveModel):
    """A model whose labels begin at 2."""

    condition_ranges = {"label": (2, 4)}


class AroundZero(AutoregressiveModel):
    condition_ranges = {"label": (-2, 2)}


class Misspelt(AutoregressiveModel):
    condition_ranges = {"lable": (2, 4)}


def test_both_ends_of_a_range_hold():
    model = small(kind=Shifted, conditions=[label()])
    assert model.generate(2, conditions=[2, 4]).shape == (2, 3, 4, 1)
    for wrong in (1, 5):
        with pytest.raises(ValueError, match="`label` of .* integers from 2 to 4"):
            model.generate(1, conditions=[wrong])
    served = served_conditions(model, model.image_shape)["label"]
    assert (served.low, served.high) == (2, 4)


@pytest.mark.parametrize(
    "values, expected",
    [
        (np.array([-3, -2, 2, 3], "int32"), [False, True, True, False]),
        # The last two are those of -2 and -1 in 64 bits.
        (np.array([0, 3, 2**64 - 2, 2**64 - 1], "uint64"), [True, False, False, False]),
    ],
)
def test_ranges_of_negative_numbers_hold_for_all_integers(values, expected):
    model = small(kind=AroundZero, conditions=[label()])
    found = in_range(model, model.inputs[1], values)
    np.testing.assert_array_equal(found, expected)


def test_a_range_without_an_input_is_refused():
    text = r"`condition_ranges` of .*which are \['label'\].*Received: \['lable'\]"
    with pytest.raises(ValueError, match=text):
        small(conditions=[label()], condition_ranges={"lable": (2, 4)})
    model = small(kind=Misspelt, conditions=[label()])
    with pytest.raises(ValueError, match=text):
        model.generate(1, conditions=[3])
    with pytest.raises(ValueError, match=text):
        model.fit({"images": IMAGES, "label": LABELS}, verbose=0)


@pytest.mark.parametrize(
    "ranges", [{"label": 3}, {"label": (1, 0)}, {"label": (0, 2.5)}, ["label"], 0]
)
def test_ranges_are_pairs_of_integers(ranges):
    text = re.escape(f"Received: condition_ranges={ranges!r}")
    with pytest.raises(ValueError, match=f"two integers, .lowest, highest.*{text}"):
        small(conditions=[label()], condition_ranges=ranges)


def test_arrays_that_tensorflow_cannot_hold():
    model = small(conditions=[label()])
    for values, text in (
        (np.zeros(2, "M8[s]"), "integers from .*Received: .*1970.*dtype datetime64"),
        (np.array([0, None], object), "integers from .*Received: .*None.*dtype object"),
        ([0, [1]], r"equal lengths. Received: label=\[0, \[1\]\]"),
    ):
        with pytest.raises(ValueError, match=f"(?s)`label` of cnn must be .*{text}"):
            model.generate(2, conditions=values)


def test_ranges_of_a_graph_are_saved(tmp_path):
    """A GPU would look up zeros for a label that is out of range."""
    ranges = {"label": (0, 4)}
    model = small(conditions=[label()], condition_ranges=ranges)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.condition_ranges == model.condition_ranges == ranges
    for one in (model, loaded):
        with pytest.raises(ValueError, match="`label` of .* integers from 0 to 4"):
            one.generate(1, conditions=[5])
    shifted = small(kind=Shifted, conditions=[label()])
    assert "condition_ranges" not in shifted.get_config()
    assert AutoregressiveModel.condition_ranges == {}


INTEGERS = r"`label` of cnn must be integers from -2147483648 to 2147483647\. Received"
FINITE = r"`vector` of cnn must be finite numbers\. Received"
DIGITS = r"`digit` of cnn must be integers from 0 to 2\. Received: \["
SHAPE = r"of cnn must have the shape \(.*\), with one element for each of the 8 images"
BAD = {
    "label 0.7": (LABELS + 0.7, INTEGERS),
    "label nan": (np.full(8, np.nan), INTEGERS),
    "label whole floats": (LABELS * 1.0, INTEGERS),
    "label 2**32": (LABELS + 2**32, INTEGERS),
    "label 2**63": (np.full(8, 2**63 + 1, "uint64"), INTEGERS),
    "label text": (np.array([*"abcdefgh"]), INTEGERS),
    "label one for all": (LABELS[:1], SHAPE),
    "label one less": (LABELS[:7], SHAPE),
    "label scalar": (LABELS[0], SHAPE),
    "label pairs": (LABELS.reshape(4, 2), SHAPE),
    "vector nan": (GOOD["vector"] * np.nan, FINITE),
    "vector inf": (GOOD["vector"] * -np.inf, FINITE),
    "vector 1e300": (np.full((8, 2), 1e300), FINITE),
    "vector complex": (GOOD["vector"] + 1j, FINITE),
    "vector text": (np.full((8, 2), "a"), FINITE),
    # No advice about maps.
    "vector smaller": (GOOD["vector"][:, :1], r"shape \(8, 2\).* 8 images\. Received"),
    "digit 3": (np.array([2, 1, 0, 3] * 2), DIGITS),
    "digit -1": (np.array([2, 1, 0, -1] * 2), DIGITS),
    "digit 0.5": (np.array([2, 1, 0, 0.5] * 2), DIGITS),
    "map 1x1": (MAPS[:, :1, :1], SHAPE),
    "map a row": (MAPS[:, :1], SHAPE),
    "map a column": (MAPS[:, :, :1], SHAPE),
    "map turned": (np.moveaxis(MAPS, 1, 2), SHAPE),
    "map a channel less": (MAPS[..., :1], SHAPE),
    "map larger": (np.repeat(MAPS, 2, axis=1), SHAPE),
    "map no channels": (MAPS[..., 0], SHAPE),
    "map one for all": (MAPS[:1], SHAPE),
    "map one less": (MAPS[:7], SHAPE),
}


def with_bad(name):
    """Return good inputs but for one, and the text of the error."""
    values, text = BAD[name]
    return {**GOOD, name.split()[0]: values}, text


def calls_with(model, bad, good):
    """Return a call of each method that takes inputs."""
    conditions = {name: values for name, values in bad.items() if name != "images"}
    return [
        lambda: model.generate(8, conditions=conditions, image_size=(3, 4)),
        lambda: model.complete(IMAGES, KNOWN, conditions=conditions),
        lambda: model.log_prob(bad),
        lambda: model.log_prob(list(bad.values())),
        lambda: model.log_prob(dataset([bad])),
        lambda: model.bits_per_dim(bad),
        lambda: model.fit(bad),
        lambda: model.evaluate(bad),
        lambda: model.fit(good, validation_data=bad),
    ]


def steps_with(model, bad):
    return [partial(step, bad) for step in (model.train_on_batch, model.test_on_batch)]


def refused_by_all(calls, text):
    for call in calls:
        with pytest.raises(ValueError, match=text):
            call()


@pytest.mark.parametrize("name", BAD)
def test_bad_values_are_refused_by_every_call(model, name):
    """NaN drew black images, and integers were cut to those below."""
    bad, text = with_bad(name)
    refused_by_all(calls_with(model, bad, GOOD), text)


# Steps are traced for each type, and cannot read text.
FAST = ["label nan", "label one for all", "vector 1e300", "digit 3", "map 1x1"]


@pytest.mark.parametrize(
    "name", slow_but([name for name in BAD if "text" not in name], *FAST)
)
def test_bad_values_are_refused_by_steps(model, name):
    bad, text = with_bad(name)
    refused_by_all(steps_with(model, bad), text)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_maps_of_any_size_are_not_repeated():
    """Keras would repeat a map of one row or column."""
    images, maps = (None, None, 1), keras.Input((None, None, 2), name="map")
    model = small(shape=images, conditions=[maps])
    good = {"images": IMAGES, "map": MAPS}
    text = "`map` of cnn must have the shape.*use the size 1 in its keras.Input"
    for name in ("map 1x1", "map a row", "map a column"):
        bad = {**good, "map": BAD[name][0]}
        calls = calls_with(model, bad, good) + steps_with(model, bad)
        refused_by_all(calls, text)
    rows = {"images": IMAGES[:, :1], "map": MAPS[:, :1]}
    model.fit(dataset([good, rows]), verbose=0)
    declared = small("eager", conditions=[keras.Input((1, 1, 2), name="map")])
    declared.fit([IMAGES, MAPS[:, :1, :1]], verbose=0)


LATER = ["vector nan", "label one less", "map 1x1", "label 0.7", "digit 3"]
LATER += ["map turned", "map one for all", "map one less"]


@pytest.mark.parametrize("name", slow_but(LATER, "vector nan", "map 1x1"))
def test_bad_values_are_refused_in_a_later_batch(model, name):
    bad, text = with_bad(name)
    # Keras makes one type of several batches.
    first = GOOD if BAD[name][0].dtype in (np.int64, np.float32) else bad
    for call in (model.fit, model.evaluate):
        for make in SOURCES.values():
            with pytest.raises(ValueError, match=text):
                call(make([first, bad]), verbose=0)
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


@pytest.mark.parametrize("mode", ["steps", pytest.param("xla", marks=pytest.mark.slow)])
def test_labels_of_another_length_in_other_steps(mode):
    model = small(mode, conditions=[label()])
    good = {"images": IMAGES, "label": LABELS}
    nats = model.evaluate(good, verbose=0, batch_size=8)
    for make in SOURCES.values():
        for labels in (LABELS[:1], LABELS[:7]):
            with pytest.raises(ValueError, match=SHAPE):
                model.evaluate(make([good, {**good, "label": labels}]), verbose=0)
        again = model.evaluate(make([good, good]), verbose=0, steps=2)
        np.testing.assert_allclose(again, nats, rtol=1e-6)


def test_values_of_other_types_and_columns_that_fit(model):
    """Keras reads a column of labels, too."""
    conditions = {name: GOOD[name] for name in GOOD if name != "images"}
    drawn = model.generate(8, seed=1, conditions=conditions)
    nats = model.log_prob(GOOD)
    data = tf.data.Dataset.from_tensors((GOOD,))
    np.testing.assert_array_equal(model.log_prob(data), nats)
    for dtypes in (("uint8", "float64", "int32"), ("uint64", "int32", "int16")):
        for name, dtype in zip(("label", "vector", "digit"), dtypes, strict=True):
            conditions[name] = GOOD[name].astype(dtype)
        conditions["digit"] = conditions["digit"][:, None]
        again = model.generate(8, seed=1, conditions=conditions)
        np.testing.assert_array_equal(again, drawn)
        x = {"images": IMAGES, **conditions}
        np.testing.assert_allclose(model.log_prob(x), nats, rtol=1e-6)
        np.testing.assert_allclose(model.evaluate(x, verbose=0)[0], -nats.mean(), 1e-6)


def test_integers_of_a_narrow_type_and_booleans():
    narrow = keras.Input((2,), dtype="uint8", name="narrow")
    flag = keras.Input((2,), dtype="bool", name="flag")
    model = small(conditions=[narrow, flag])
    ones = np.ones((1, 2), int)
    for flags in (ones > 0, ones):
        model.generate(1, conditions={"narrow": 255 * ones, "flag": flags})
    with pytest.raises(ValueError, match="`narrow` of .* 0 to 255. Received: .256"):
        model.generate(1, conditions={"narrow": 256 * ones, "flag": ones})
    with pytest.raises(ValueError, match="`flag` of .* from 0 to 1. Received: .2"):
        model.generate(1, conditions={"narrow": ones, "flag": 2 * ones})


def test_a_dict_of_inputs_has_the_images_by_name_or_first():
    """Keras sorts it by name, so a condition was taken for the images."""
    condition = keras.Input((3, 4, 2), name="condition")
    listed = small(conditions=[condition])
    inputs = {"condition": condition, "images": listed.inputs[0]}
    model = AutoregressiveModel(inputs, listed.outputs[0])
    again = AutoregressiveModel.from_config(model.get_config())
    for each in (model, again):
        assert [tensor.name for tensor in each.inputs] == ["images", "condition"]
    x = {"condition": MAPS, "images": IMAGES}
    np.testing.assert_array_equal(model.log_prob(x), listed.log_prob(x))
    model.compile("sgd", run_eagerly=True)
    model.fit(x, verbose=0)
    other = keras.Input((3, 4, 1), name="picture")
    outputs = MaskedConv2D(1, 3, "A", dtype="float32")(other)
    outputs += keras.layers.Dense(1)(condition)
    model = AutoregressiveModel({"picture": other, "condition": condition}, outputs)
    assert model.inputs[0].name == "picture"


@pytest.mark.parametrize("dtype", ["string", "complex64"])
def test_inputs_that_are_no_real_numbers_are_refused(dtype):
    """Such a model was made, and failed in its first step."""
    text = keras.Input((), dtype=dtype, name="caption")
    images = keras.Input((3, 4, 1))
    logits = MaskedConv2D(1, 3, "A")(images)
    message = f"input 'caption' must hold real numbers .*StringLookup.* dtype {dtype}"
    with pytest.raises(ValueError, match=message):
        AutoregressiveModel([images, text], logits)
