import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import PixelCNN, PixelRNN
from keras_genimg.sampling import METHODS
from tests.sampling.drawn import assert_ancestral
from tests.serving.some_endpoints import write_endpoints

MODELS = {
    "cnn": lambda: PixelCNN((4, 5, 1), 4, 1),
    "row": lambda: PixelRNN((4, 5, 3), 6, 1, "row", likelihood=Categorical(8)),
    "diagonal": lambda: PixelRNN((5, 4, 1), 4, 1, likelihood=Categorical(8)),
}


@pytest.mark.parametrize(
    "name", ["diagonal", pytest.param("row", marks=pytest.mark.slow)]
)
def test_known_pixels_stay_and_methods_agree(name):
    model = MODELS[name]()
    model.check_causality = False  # This saves checks.
    generator = np.random.default_rng(0)
    shape = model.image_shape
    images = generator.integers(model.likelihood.num_values, size=(6, *shape))
    known = generator.integers(2, size=(6, *shape[:2]))
    completed = {
        method: model.complete(images, known, seed=3, method=method)
        for method in METHODS
    }
    for method in METHODS:
        np.testing.assert_array_equal(completed[method], completed["ancestral"])
    if name == "row":
        compiled = model.complete(images, known, seed=3, jit_compile=True)
        np.testing.assert_array_equal(compiled, completed["incremental"])
    where = known == 1
    np.testing.assert_array_equal(completed["incremental"][where], images[where])
    assert (completed["incremental"][~where] != images[~where]).any()
    # What unknown pixels hold makes no difference, and neither does the batch.
    spoiled = np.where(where[..., None], images, 77.5)
    np.testing.assert_array_equal(
        model.complete(spoiled, known, seed=3, batch_size=4), completed["ancestral"]
    )
    # Nothing known generates, all known returns.
    images = np.zeros((3, *shape), "uint8")
    for method in METHODS:
        drawn = model.complete(images, np.zeros(shape[:2]), seed=0, method=method)
        assert_ancestral(model, drawn)
        kept = model.complete(drawn, np.ones(shape[:2], bool), seed=9, method=method)
        np.testing.assert_array_equal(kept, drawn)
    # A completion of the lower half is a draw given the upper half.
    known = np.zeros(shape[:2])
    known[:2] = 1
    np.testing.assert_array_equal(model.complete(drawn, known, seed=0), drawn)
    assert (model.complete(drawn, known, seed=50) != drawn).any()


@pytest.mark.parametrize(
    "images, known, text",
    [
        (np.zeros((2, 4, 5, 1)), np.zeros((4, 4)), r"shape \(2, 4, 5\) or \(4, 5\).*"),
        (np.zeros((2, 4, 5, 1)), np.zeros((3, 4, 5)), r"Received: shape=\(3, 4, 5\)"),
        (np.zeros((2, 4, 5, 1)), np.full((4, 5), 2), "0 or 1 everywhere.*2"),
        (np.zeros((2, 4, 5, 1)), np.full((4, 5), 0.5), "0 or 1 everywhere.*0.5"),
        (np.zeros((2, 4, 5, 1)), np.full((4, 5), "a"), "0 or 1 everywhere.*'a'"),
        (np.full((2, 4, 5, 1), "a"), np.zeros((4, 5)), "real numbers.*<U1"),
        (np.zeros((2, 4, 5, 1)), [[0], [0, 1]], "`known` of .*equal lengths"),
        (np.full((2, 4, 5, 1), 7), np.ones((4, 5)), "from 0 to 1.*values from 7 to 7"),
        (np.zeros((2, 4, 5)), np.ones((4, 5)), "Add the color axis"),
        (np.zeros((0, 4, 5, 1)), np.ones((4, 5)), "received no images"),
    ],
)
def test_bad_input(images, known, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        MODELS["cnn"]().complete(images, known)


@pytest.mark.slow
def test_exported(tmp_path):
    model = MODELS["diagonal"]()
    write_endpoints(model, tmp_path / "1", "sample", "complete")
    complete = tf.saved_model.load(str(tmp_path / "1")).signatures["complete"]
    images = model.generate(3, seed=0)
    known = np.random.default_rng(0).integers(2, size=(3, 5, 4)).astype("int32")
    shown = tf.constant(model.likelihood.to_display(images), tf.int32)
    seed = tf.constant([7, 8, 9], tf.int64)
    served = complete(images=shown, known=tf.constant(known), seed=seed)["images"]
    expected = model.likelihood.to_display(model.complete(images, known, seed=7))
    np.testing.assert_array_equal(served, expected)
