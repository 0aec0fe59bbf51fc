import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg import layers, likelihoods
from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import VAE, AutoregressiveModel, PixelCNN
from tests.inputs.test_sizes import MODES, SOURCES, Batches, dataset, generator
from tests.seldom import slow_but

GOOD = np.random.default_rng(0).integers(0, 2, (8, 4, 5, 1)).astype("float32")
ONCE = {"verbose": 0, "shuffle": False, "steps_per_epoch": 4}


def small(likelihood="bernoulli", mode="plain"):
    likelihood = likelihoods.get(likelihood)
    images = keras.Input((4, 5, 1), name="images")
    shape = likelihood.params_shape((4, 5, 1))
    # Every pixel sees the one above. XLA takes long to compile convolutions' gradients.
    x = keras.layers.ZeroPadding2D(((1, 0), (0, 0)))(images)
    x = keras.layers.Cropping2D(((0, 1), (0, 0)))(x)
    x = keras.layers.Dense(int(np.prod(shape[2:])), name="logits")(x)
    if len(shape) > 3:
        x = layers.SplitColors(1)(x)
    if likelihood.num_values is None:
        model = VAE((4, 5, 1), 2, 4, likelihood, name="cnn")
    else:
        model = AutoregressiveModel(images, x, likelihood, name="cnn")
    model.compile(keras.optimizers.SGD(0.01), **MODES[mode])
    return model


@pytest.fixture(scope="module")
def model():
    return small()


def with_labels():
    model = PixelCNN((4, 5, 1), 3, 1, first_kernel_size=3, num_classes=3, name="cnn")
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    return model


def spoiled(value):
    images = GOOD.copy()
    images[5, 2, 3] = value
    return images


def pairs(images):
    """Return batches of two images."""
    return np.split(images, len(images) // 2)


@pytest.mark.slow
@pytest.mark.parametrize(
    "source, mode",
    [
        ("PyDataset", "eager"),
        ("PyDataset", "steps with xla"),
        ("generator", "plain"),
        ("tf.data", "xla"),
    ],
)
def test_bad_pixels_of_every_source_raise_before_the_next_step(source, mode):
    model = small(mode=mode)
    text = "^Training of cnn expects pixels.*from 0.0 to 255.0, dtype float32$"
    with pytest.raises(ValueError, match=text):
        model.fit(SOURCES[source](pairs(spoiled(255))), **ONCE)
    # The bad batch is the third one, and steps are two at a time.
    assert int(model.optimizer.iterations) == (4 if "steps" in mode else 3)
    with pytest.raises(ValueError, match="^Evaluation of cnn expects.*0.0 to 255.0"):
        model.evaluate(SOURCES[source](pairs(spoiled(255))), verbose=0)
    # The error leaves no state behind.
    history = model.fit(SOURCES[source](pairs(GOOD)), **ONCE).history
    assert set(history) == {"loss", "bits_per_dim"}
    assert len(model.evaluate(SOURCES[source](pairs(GOOD)), steps=4, verbose=0)) == 2


@pytest.mark.parametrize("mode", ["plain", "eager"])
def test_calls_of_one_batch(mode, model):
    model = small(mode=mode) if mode == "eager" else model
    for call in (model.train_on_batch, model.test_on_batch):
        logs = call(GOOD, return_dict=True)
        assert set(logs) == {"loss", "bits_per_dim"}
        with pytest.raises(ValueError, match=r"of cnn expects pixels.*0.0 to 3.0"):
            call(spoiled(3))
        with pytest.raises(ValueError, match="takes no targets"):
            call(GOOD, GOOD)
        with pytest.raises(ValueError, match=r"Add the color axis.*shape=\(8, 4, 5\)"):
            call(GOOD[..., 0])
        again = call(GOOD, sample_weight=np.ones(8, "float32"), return_dict=True)
        assert np.isfinite(again["loss"])


FAULTS = {
    Bernoulli(): {
        0.5: "integers from 0 to 1.*Binarize",
        np.nan: "Received: values from nan to nan",
    },
    Categorical(7): {
        7: "integers from 0 to 6.*Quantize.*0.0 to 7.0",
        2.5: "integers from 0 to 6.*Quantize.*0.0 to 2.5",
        -1: "Quantize.*Received: values from -1.0 to 1.0",
    },
    Bernoulli(intensities=True): {
        1.1: "real numbers from 0 to 1.*by 255.*1.10",
        -np.inf: "real numbers.*from -inf to 1.0",
        np.nan: "values from nan",
    },
}
KINDS = [(likelihood, "plain") for likelihood in FAULTS]
UNDER_XLA = (Bernoulli(intensities=True), "xla")


@pytest.mark.parametrize("kind", slow_but([*KINDS, UNDER_XLA], *KINDS), ids=str)
def test_every_kind_of_bad_pixel_has_the_text_of_arrays(kind):
    model = small(*kind)
    for value, text in FAULTS[kind[0]].items():
        with pytest.raises(ValueError, match=text) as in_step:
            model.train_on_batch(spoiled(value))
        with pytest.raises(ValueError, match=text) as at_once:
            model.fit(spoiled(value))
        step_text = str(in_step.value).replace("Training of cnn", "cnn.fit")
        assert step_text == str(at_once.value)
        assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_the_dtype_is_that_which_was_received(model):
    for dtype in ("int64", "float64"):
        text = "0 to 200" if "int" in dtype else "0.0 to 200.0"
        with pytest.raises(ValueError, match=f"values from {text}, dtype {dtype}"):
            model.train_on_batch(spoiled(200).astype(dtype))
    assert np.isfinite(model.train_on_batch(GOOD.astype(bool))).all()


LABELS = np.array([0, 1, 2, 0, 1, 2, 0, 1], "int32")


def test_log_prob_checks_data_sets_and_refuses_other_sources(model):
    with pytest.raises(ValueError, match="^cnn.log_prob expects pixels.*0.0 to 9.0"):
        model.log_prob(dataset(pairs(spoiled(9))))
    for make in (Batches, generator):
        with pytest.raises(ValueError, match="from_generator. Received: "):
            model.log_prob(make(pairs(GOOD)))


class Loader:
    """An iterable of batches that Keras cannot read."""

    def __iter__(self):
        yield from (GOOD[:4], GOOD[4:])


def test_other_iterables_are_refused_with_the_line_that_mends_it(model):
    for call in (model.fit, model.evaluate, model.log_prob):
        with pytest.raises(ValueError, match=r"cannot read a Loader.*\(\(batch,\) for"):
            call(Loader())
    batches = ((batch,) for batch in Loader())
    model.fit(batches, steps_per_epoch=2, verbose=0)


def test_targets_of_generators_are_refused():
    model = with_labels()
    batches = (batch for batch in zip(pairs(GOOD), pairs(LABELS), strict=True))
    with pytest.raises(ValueError, match=r"takes no targets.*\['images', 'label'\]"):
        model.fit(batches, verbose=0)


def test_the_error_tells_how_a_data_set_gives_its_labels():
    model = with_labels()
    dataset = tf.data.Dataset.from_tensor_slices((GOOD, LABELS)).batch(2)
    with pytest.raises(ValueError, match="takes no targets") as caught:
        model.fit(dataset, verbose=0)
    (mended,) = re.findall(r"`\.map\((.*)\)`", str(caught.value))
    model.fit(dataset.map(eval(mended)), verbose=0)


def test_validation_data_is_checked_in_fit_and_in_callbacks(model):
    with pytest.raises(ValueError, match="^Evaluation of cnn expects pixels"):
        model.fit(GOOD, validation_data=Batches(pairs(spoiled(7))), verbose=0)

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(ValueError, match="^cnn.evaluate expects pixels"):
                self.model.evaluate(spoiled(7), verbose=0)
            with pytest.raises(ValueError, match="^cnn.evaluate takes no targets"):
                self.model.evaluate(GOOD, GOOD, verbose=0)

    history = model.fit(
        GOOD,
        epochs=2,
        verbose=0,
        validation_split=0.5,
        sample_weight=np.ones(8, "float32"),
        callbacks=[Evaluates()],
    )
    assert len(history.history["val_loss"]) == 2


def test_models_remain_as_they_were(tmp_path):
    model = small()
    weights = len(model.weights)
    model.fit(GOOD, verbose=0)
    assert len(model.weights) == weights
    assert len(model.non_trainable_variables) == 0
    model.save(tmp_path / "cnn.keras")
    again = keras.models.load_model(tmp_path / "cnn.keras")
    with pytest.raises(ValueError, match="Training of cnn expects pixels"):
        again.fit(Batches(pairs(spoiled(7))), verbose=0)


def test_a_loop_of_ones_own_is_checked_too():
    """Nothing reads the flag of a step there, so the step itself fails."""
    model = small()
    logs = model.train_step((GOOD,))
    model.fit(GOOD, verbose=0)  # After it, a loop got zeros for bad pixels.
    assert set(logs) == {"loss", "bits_per_dim"}
    before = model.get_weights()
    step = tf.function(model.train_step, autograph=False)
    for function in (model.train_step, step):
        with pytest.raises(tf.errors.InvalidArgumentError, match="out of range"):
            function((tf.constant(spoiled(2)),))
    np.testing.assert_equal(model.get_weights(), before)
    model.fit(GOOD, verbose=0)
