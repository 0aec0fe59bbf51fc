"""A single image of black and white pixels is drawn row by row."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DiagonalBiLSTM, MaskedConv2D, RowLSTM
from keras_genimg.likelihoods import Categorical
from keras_genimg.models import (
    AutoregressiveModel,
    GatedPixelCNN,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from keras_genimg.sampling import incremental
from tests.seldom import slow_but

SHAPE = (6, 7, 1)
SEEDS = range(8)


def model_of(body, dtype="float32"):
    images = keras.Input(SHAPE, dtype=dtype)
    x = layers.Activation("tanh")(body(MaskedConv2D(6, 5, "A")(images)))
    return AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))


MODELS = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 4, 2),
    "wide": lambda: PixelCNN(SHAPE, 4, 1, first_kernel_size=13),
    "row": lambda: PixelRNN(SHAPE, 4, 2, layer="row"),
    "diagonal": lambda: PixelRNN(SHAPE, 4, 2),
    "gated": lambda: GatedPixelCNN(SHAPE, 4, 1, num_classes=3),
    "two values": lambda: PixelRNN(SHAPE, 4, 1, likelihood=Categorical(2)),
    "even": lambda: model_of(lambda x: MaskedConv2D(4, (3, 5), "B")(RowLSTM(4, 5)(x))),
    "half images": lambda: model_of(MaskedConv2D(4, 3, "B"), dtype="float16"),
    "scales": lambda: MultiScalePixelRNN((8, 8, 1), (4, 8), 4, 1),
}


@pytest.fixture
def guesses(monkeypatch):
    """Return a function that sets how often a row is guessed, and the runs' flags.

    Graphs read the number when they run, so one graph draws in all ways.
    """
    seen, most = [], tf.Variable(0)
    monkeypatch.setattr(incremental, "_MOST_GUESSES", most)
    visit = incremental.PixelRun.visit

    def watched(run, *arguments, **options):
        seen.append(run.evaluates_rows)
        return visit(run, *arguments, **options)

    monkeypatch.setattr(incremental.PixelRun, "visit", watched)

    def guess(count):
        most.assign(count)
        return seen

    return guess


def one_by_one(model, **options):
    """Return images that are drawn in batches of one."""
    return np.concatenate([model.generate(1, seed=seed, **options) for seed in SEEDS])


def test_a_kernel_of_one_column_is_proven(guesses):
    images = keras.Input(SHAPE)
    x = layers.Activation("tanh")(MaskedConv2D(4, (3, 1), "A")(images))
    x = DiagonalBiLSTM(3)(x)
    model = AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))
    seen = guesses(8)
    one = model.generate(1, seed=0)
    assert any(seen)
    np.testing.assert_array_equal(one, model.generate(4, seed=0)[:1])


@pytest.mark.parametrize("name", slow_but(MODELS, "diagonal", "gated"))
def test_rows_are_those_of_single_pixels(name, guesses):
    model = MODELS[name]()
    randomize(model, seed=1, gain=1.0, vector_scale=0.1)
    model.check_causality = False  # To save proofs.
    seen = guesses(0)
    label = {"conditions": [2]} if name == "gated" else {}
    expected = one_by_one(model, **label)
    # The trap of a row that settled with another last pixel.
    assert 0.05 < expected[:, :, -1].mean() < 0.95
    for count in (1, 100):
        guesses(count)
        np.testing.assert_array_equal(one_by_one(model, **label), expected)
    labels = {key: value * len(SEEDS) for key, value in label.items()}
    drawn = model.generate(len(SEEDS), seed=0, **labels)
    np.testing.assert_array_equal(drawn, expected)
    assert all(seen)


@pytest.mark.slow
def test_completions_and_temperatures(guesses):
    model = MODELS["diagonal"]()
    randomize(model, seed=1, gain=1.0, vector_scale=0.1)
    model.check_causality = False  # To save proofs.
    images = np.random.default_rng(0).integers(2, size=(1, *SHAPE))
    known = np.eye(*SHAPE[:2])

    def drawn(count):
        guesses(count)
        return [
            one_by_one(model, temperature=2.0),
            *(model.complete(images, known, seed=seed) for seed in SEEDS),
        ]

    for found, expected in zip(drawn(100), drawn(0), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_a_row_that_differs_from_its_pixels_is_refused():
    class Wrong(MaskedConv2D):
        def step_row(self, *arguments):
            outputs, kept = super().step_row(*arguments)
            return 1.01 * outputs, kept

    model = model_of(Wrong(4, 3, "B"))
    for _ in range(2):
        with pytest.raises(ValueError, match="step_row.*Wrong"):
            model.generate(1, seed=0)
    model.generate(1, seed=0, method="ancestral")


def test_one_image_is_drawn_by_rows_and_two_are_not():
    class Opposite(MaskedConv2D):
        def step_row(self, *arguments):
            outputs, kept = super().step_row(*arguments)
            return -outputs, kept

    model = model_of(Opposite(4, 3, "B"))
    randomize(model, seed=1, gain=3.0, vector_scale=0.1)
    model.check_causality = False
    two = model.generate(2, seed=0)
    np.testing.assert_array_equal(two, model.generate(2, seed=0, method="ancestral"))
    assert (model.generate(1, seed=0) != two[:1]).any()
