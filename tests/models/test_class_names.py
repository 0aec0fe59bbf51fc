import keras
import pytest

from keras_genimg.models import AutoregressiveModel, OrientedModel, PixelCNN
from tests.inputs.sources import small

NAMES = ["cat", "dog"]


def labeled(**options):
    return PixelCNN((4, 4, 1), 3, 1, head_filters=4, num_classes=2, **options)


def graph(**options):
    label = keras.Input((), dtype="int32", name="label")
    return small("eager", conditions=[label], **options)


@pytest.mark.parametrize(
    "make",
    [
        lambda: labeled(class_names=NAMES),
        lambda: graph(class_names=NAMES, condition_ranges={"label": (0, 1)}),
    ],
    ids=["PixelCNN", "graph"],
)
def test_names_of_classes_are_in_the_file_of_a_model(make, tmp_path):
    model = make()
    assert model.class_names == ("cat", "dog")
    assert model.get_config()["class_names"] == NAMES
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.class_names == ("cat", "dog")


def test_a_model_without_names_has_none():
    model = labeled()
    assert model.class_names is None and "class_names" not in model.get_config()


@pytest.mark.parametrize(
    "make, text",
    [
        (
            lambda: labeled(class_names=["cat", "dog", "owl"]),
            "be 2 names, one for each label from 0 to 1. Received 3: cat, dog, owl",
        ),
        (lambda: labeled(class_names=["cat", "cat"]), "list of different texts"),
        (lambda: labeled(class_names=["cat", 1]), r"Received: .*=\['cat', 1\]"),
        (lambda: labeled(class_names=["cat", ""]), "list of different texts"),
        (lambda: labeled(class_names="ab"), "list of different texts"),
        (lambda: labeled(class_names=2), "Received: class_names=2"),
        (lambda: labeled(class_names=[]), "list of different texts"),
        (
            lambda: PixelCNN((4, 4, 1), 3, 1, class_names=NAMES),
            r"does not have. Pass num_classes=2, .*\{'label': \(0, 1\)\}.*_ranges=\{\}",
        ),
        (
            lambda: graph(class_names=NAMES, condition_ranges={"label": (1, 2)}),
            "labels from 0, which the model does not have",
        ),
    ],
)
def test_names_that_do_not_fit_are_refused(make, text):
    with pytest.raises(ValueError, match=f"`class_names` of .*{text}"):
        make()


def test_an_error_about_labels_names_the_classes():
    text = "must be integers from 0 to 1, for the classes cat, dog. Received: "
    for wrong in (["cat"], [2]):
        with pytest.raises(ValueError, match=text):
            labeled(class_names=NAMES).generate(1, conditions=wrong)


def test_a_model_of_orders_has_the_names_of_its_network():
    """Unless its orders are the labels of the network."""
    inputs = [
        keras.Input((4, 4, 1), name="images"),
        keras.Input((), dtype="int32", name="order"),
        keras.Input((), dtype="int32", name="label"),
    ]
    ranges = {"order": (0, 7), "label": (0, 1)}
    network = AutoregressiveModel(
        inputs,
        keras.layers.Dense(1)(0 * inputs[0]),
        condition_ranges=ranges,
        class_names=NAMES,
    )
    model = OrientedModel(network, condition="order")
    assert model.class_names == ("cat", "dog")
    again = OrientedModel.from_config(model.get_config())
    assert again.class_names == ("cat", "dog")

    orders = [f"order {number}" for number in range(8)]
    network = PixelCNN((4, 4, 1), 3, 1, num_classes=8, class_names=orders)
    model = OrientedModel(network)
    assert model.class_names is None
    assert OrientedModel.from_config(model.get_config()).class_names is None
