"""Small batches are drawn in waves of several rows, or a single image row by row.

In waves if all layers have a `reach` that is small enough, and row by row if pixels are
black and white. The kernels of 7 pixels in models of rows reach too far for waves.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers

from keras_genimg.causality.random_weights import randomize
from keras_genimg.layers import DiagonalBiLSTM, MaskedConv2D, RowLSTM
from keras_genimg.likelihoods import Categorical, DiscretizedLogisticMixture
from keras_genimg.models import (
    AutoregressiveModel,
    GatedPixelCNN,
    MultiScalePixelRNN,
    PixelCNN,
    PixelRNN,
)
from keras_genimg.ops.uniforms import seeded_uniforms
from keras_genimg.sampling import incremental_sampler
from keras_genimg.sampling.orders import rows
from keras_genimg.sampling.orders.rows import Rows
from keras_genimg.sampling.orders.waves import LARGEST_BATCH, Waves
from keras_genimg.sampling.plan import Plan
from keras_genimg.sampling.sampler import largest_small_batch, small_batch_order
from keras_genimg.sampling.values import PlanValues
from tests.fuzz.own_layers import Left, Sides, WrongReach
from tests.seldom import slow_but

SHAPE = (8, 9, 1)
NARROW = {"first_kernel_size": 3}


def model_of(layer, shape=SHAPE, kernel_size=3, dtype="float32"):
    images = keras.Input(shape, dtype=dtype)
    x = layers.Activation("tanh")(layer(MaskedConv2D(6, kernel_size, "A")(images)))
    return AutoregressiveModel(images, MaskedConv2D(1, 1, "B")(x))


def randomized(model):
    randomize(model, seed=1, gain=1.0, vector_scale=0.1)
    model.check_causality = False  # This saves checks.
    return model


# Waves.


def alone(layer):
    """Return a model with no other causal layer."""
    images = keras.Input(SHAPE)
    return AutoregressiveModel(images, layers.Dense(1)(layer(images)))


class OwnRow(Left):
    """Sees its own row alone, so that its cache has no columns."""

    reach = 0


class OtherRow(Sides):
    """Sees the row above alone, so that it carries nothing along its own."""

    def call(self, inputs):
        return super().call(inputs) - inputs

    def step(self, weights, carry, row, inputs):
        return row[0], (), (inputs,)


def row_with_labels():
    """Return a model whose Row LSTM reads a map of labels."""
    images, labels = keras.Input(SHAPE), keras.Input((), dtype="int32", name="labels")
    x = MaskedConv2D(6, 3, "A")(images)
    table = layers.Embedding(3, 9 * 8)(labels)
    x = RowLSTM(6)(x, condition=layers.Reshape((8, 9, 1))(table))
    return AutoregressiveModel([images, labels], MaskedConv2D(1, 1, "B")(x))


def multi_scale():
    return MultiScalePixelRNN((16, 16, 1), (8, 16), 4, 1, layer="row", **NARROW)


IN_WAVES = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 4, 2, **NARROW),
    "row": lambda: PixelRNN(SHAPE, 4, 2, layer="row", **NARROW),
    "wider": lambda: PixelCNN((12, 13, 1), 4, 1, first_kernel_size=5),
    "two reaches": lambda: model_of(RowLSTM(6, 5), (12, 13, 1)),
    "flat": lambda: model_of(MaskedConv2D(6, (1, 5), "B")),
    "high": lambda: model_of(MaskedConv2D(6, (5, 3), "B")),
    "colors": lambda: PixelCNN(
        (*SHAPE[:2], 3), 6, 1, likelihood=Categorical(4), **NARROW
    ),
    "mixture": lambda: PixelCNN(
        (*SHAPE[:2], 3), 6, 1, likelihood=DiscretizedLogisticMixture(8, 2), **NARROW
    ),
    "own": lambda: model_of(Sides()),
    "labels": row_with_labels,
    "own row": lambda: model_of(OwnRow()),
    "no columns": lambda: alone(OwnRow()),
    "no carry": lambda: alone(OtherRow()),
    "scales": multi_scale,
}


@pytest.fixture
def drawn(monkeypatch):
    """Return a function that draws with another largest batch of waves."""

    def draw(model, largest, function, *arguments, **options):
        kind = type(model._samplers.scheme)
        monkeypatch.setattr(kind, "largest_small_batch", lambda *_: largest)
        return getattr(model, function)(*arguments, **options)

    return draw


FAST = "mixture", "own", "labels", "own row", "no columns", "no carry"


@pytest.mark.parametrize("name", slow_but(IN_WAVES, *FAST))
def test_waves_draw_what_single_pixels_give(name, drawn):
    model = randomized(IN_WAVES[name]())
    options = {"seed": 0}
    if name == "labels":
        options["conditions"] = np.arange(6) % 3
    by_pixel = drawn(model, 0, "generate", 6, **options)
    waves = drawn(model, 6, "generate", 6, **options)
    np.testing.assert_array_equal(waves, by_pixel)
    # The traps of a last column and of the rows that begin late.
    assert by_pixel[:, -1, -1].std() > 0


@pytest.fixture(scope="module")
def row():
    """Return a model, and images that it drew pixel by pixel."""
    model = randomized(IN_WAVES["row"]())
    model.check_causality = True  # Both ways must be checked here.
    return model, model.generate(LARGEST_BATCH + 1, seed=0)


def test_one_image_and_a_batch_are_the_same(row):
    model, many = row
    np.testing.assert_array_equal(model.generate(1, seed=2), many[2:3])
    np.testing.assert_array_equal(model.generate(LARGEST_BATCH, seed=0), many[:-1])


@pytest.mark.parametrize("batch", slow_but([1, LARGEST_BATCH + 1], LARGEST_BATCH + 1))
def test_a_batch_of_known_size_is_drawn_in_one_way(batch, row):
    model, many = row
    draw = incremental_sampler(model)
    uniforms = seeded_uniforms(tf.range(batch, dtype=tf.int64), SHAPE)
    compiled = tf.function(lambda uniforms: draw(uniforms, tf.ones(()), []))
    images = compiled(tf.constant(uniforms.numpy()))
    np.testing.assert_array_equal(images, many[:batch])


@pytest.mark.parametrize("options", [{"temperature": 2.0}, {"num_candidates": 3}])
def test_completions_in_waves(options, drawn):
    model = randomized(IN_WAVES["colors"]())
    images = np.random.default_rng(0).integers(4, size=(2, *model.image_shape))
    arguments = "complete", images, np.eye(*SHAPE[:2])
    np.testing.assert_array_equal(
        drawn(model, 16, *arguments, seed=3, **options),
        drawn(model, 0, *arguments, seed=3, **options),
    )


def test_a_scale_of_fewer_rows_than_the_image_is_checked_in_waves():
    model = multi_scale()
    for each in model.scale_models:
        size = largest_small_batch(each, each.image_shape)
        assert size == LARGEST_BATCH
    assert model.generate(1, seed=0).any()


def test_rows_after_those_of_a_check_are_zero():
    model = randomized(model_of(RowLSTM(4)))
    uniforms = seeded_uniforms(tf.constant([0, 1], tf.int64), SHAPE)
    for batches in ("small", "large"):
        draw = incremental_sampler(model, num_rows=tf.constant(3), batches=batches)
        images = tf.function(draw)(uniforms, 1.0, []).numpy()
        assert images[:, :3].any() and not images[:, 3:].any()


def test_a_wrong_reach_is_refused():
    model = model_of(WrongReach())
    model.generate(LARGEST_BATCH + 1, seed=0)  # Pixel by pixel.
    with pytest.raises(ValueError, match="reach.*WrongReach"):
        model.generate(1, seed=0)
    model.generate(1, seed=0, method="ancestral")


# The tests below check which way is taken.


def test_the_way_of_small_batches():
    class ChangedRows(MaskedConv2D):
        """Changes rows, and does not say how far it sees."""

        def begin_row(self, weights, cache):
            return super().begin_row(weights, cache)

    class Steps(DiagonalBiLSTM):
        """Changes steps, and does not say how it evaluates rows."""

        def step(self, *arguments, **others):
            return super().step(*arguments, **others)

    quantized = model_of(layers.Dense(4, name="dense"))
    quantized.get_layer("dense").quantize("int8")
    models = {
        PixelCNN(SHAPE, 4, 1, **NARROW): LARGEST_BATCH,
        model_of(RowLSTM(4)): LARGEST_BATCH,
        # Waves do not pay, so a single image is drawn row by row.
        PixelCNN(SHAPE, 4, 1): 1,
        PixelRNN(SHAPE, 4, 1, **NARROW): 1,
        GatedPixelCNN(SHAPE, 4, 1): 1,
        model_of(ChangedRows(4, 3, "B")): 1,
        # Pixel by pixel.
        model_of(Steps(4)): 0,
        model_of(Left()): 0,
        model_of(RowLSTM(4, dtype="mixed_bfloat16")): 0,
        quantized: 0,
        PixelCNN(SHAPE, 4, 1, likelihood=Categorical(3)): 0,
        PixelCNN((*SHAPE[:2], 3), 4, 1): 0,
    }
    for model, largest in models.items():
        assert largest_small_batch(model, model.image_shape) == largest
        template = tf.zeros((*SHAPE[:2], 2, model.image_shape[2]))
        values = PlanValues.of(Plan.of(model), template, [], fused=True)
        kind = {LARGEST_BATCH: Waves, 1: Rows, 0: type(None)}[largest]
        assert type(small_batch_order(model, values)) is kind
        values = PlanValues.of(Plan.of(model), template, [], fused=False)  # With XLA.
        assert small_batch_order(model, values) is None


@pytest.mark.parametrize("layer, largest", [("row", LARGEST_BATCH), ("diagonal", 1)])
def test_each_way_is_traced_once_when_a_batch_takes_it(layer, largest):
    model = PixelRNN(SHAPE, 4, 1, layer=layer, **NARROW)
    model.check_causality = False  # This saves checks.
    for num_images in (1, 2, LARGEST_BATCH, LARGEST_BATCH + 1):
        model.generate(num_images, seed=0)
        samplers = model._samplers.by_key.entries().values()
        functions = [each._function for each in samplers]
        counts = [each.experimental_get_tracing_count() for each in functions]
        assert counts == ([1, 1] if num_images > largest else [1])


# Rows of a single image.

BY_ROWS = {
    "PixelCNN": lambda: PixelCNN(SHAPE, 4, 2),
    "wide": lambda: PixelCNN(SHAPE, 4, 1, first_kernel_size=13),
    "row": lambda: PixelRNN(SHAPE, 4, 2, layer="row"),
    "diagonal": lambda: PixelRNN(SHAPE, 4, 2),
    "gated": lambda: GatedPixelCNN(SHAPE, 4, 1, num_classes=3),
    "two values": lambda: PixelRNN(SHAPE, 4, 1, likelihood=Categorical(2)),
    "even": lambda: model_of(
        lambda x: MaskedConv2D(4, (3, 5), "B")(RowLSTM(4, 5)(x)), kernel_size=7
    ),
    "half images": lambda: model_of(
        MaskedConv2D(4, 3, "B"), kernel_size=7, dtype="float16"
    ),
    "scales": lambda: MultiScalePixelRNN((8, 8, 1), (4, 8), 4, 1),
}


@pytest.fixture
def guess(monkeypatch):
    """Return a function that sets how often a row is guessed.

    Graphs read the number when they run, so one graph draws in all ways.
    """
    most = tf.Variable(0)
    monkeypatch.setattr(rows, "MOST_GUESSES", most)
    return most.assign


def randomized_by_rows(name):
    model = randomized(BY_ROWS[name]())
    assert model._samplers.scheme.largest_small_batch(model.image_shape) == 1
    return model


def test_a_kernel_of_one_column_is_checked():
    model = model_of(DiagonalBiLSTM(3), kernel_size=(3, 1))
    assert largest_small_batch(model, SHAPE) == 1
    one, four = model.generate(1, seed=0), model.generate(4, seed=0)
    np.testing.assert_array_equal(one, four[:1])


@pytest.mark.parametrize("name", slow_but(BY_ROWS, "diagonal", "gated"))
def test_rows_are_those_of_single_pixels(name, guess):
    model = randomized_by_rows(name)
    label = {"conditions": [2] * 8} if name == "gated" else {}
    expected = model.generate(8, seed=0, **label)
    # The trap of a row that settled with another last pixel.
    assert 0.05 < expected[:, :, -1].mean() < 0.95
    for count in (0, 1, 100):
        guess(count)
        drawn = model.generate(8, seed=0, batch_size=1, **label)
        np.testing.assert_array_equal(drawn, expected)


@pytest.mark.slow
def test_completions_and_temperatures_by_rows(guess):
    model = randomized_by_rows("diagonal")
    images = np.random.default_rng(0).integers(2, size=(8, *SHAPE))
    known, options = np.eye(*SHAPE[:2]), {"temperature": 2.0, "batch_size": 1}
    drawn = []
    for count in (0, 100):
        guess(count)
        drawn.append(model.complete(images, known, seed=0, **options))
    np.testing.assert_array_equal(*drawn)


class Wrong(MaskedConv2D):
    """Multiplies rows by a factor that pixels do not have."""

    factor = 1.01

    def step_row(self, *arguments):
        outputs, kept = super().step_row(*arguments)
        return self.factor * outputs, kept


def test_a_row_that_differs_from_its_pixels_is_refused():
    layer = Wrong(4, 3, "B")
    model = model_of(layer, kernel_size=7)
    for _ in range(2):
        with pytest.raises(ValueError, match="step_row.*Wrong"):
            model.generate(1, seed=0)
    model.generate(1, seed=0, method="ancestral")
    # The check is off, so a fault shows that one image is drawn by rows, and two not.
    layer.factor = -1
    randomize(model, seed=1, gain=3.0, vector_scale=0.1)
    model.check_causality = False
    two = model.generate(2, seed=0)
    np.testing.assert_array_equal(two, model.generate(2, seed=0, method="ancestral"))
    assert (model.generate(1, seed=0) != two[:1]).any()
