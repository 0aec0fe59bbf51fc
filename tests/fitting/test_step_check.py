import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.likelihoods import Bernoulli, Categorical
from keras_genimg.models import VAE, PixelCNN
from tests.inputs.sources import (
    IMAGES,
    LABELS,
    SOURCES,
    Batches,
    dataset,
    generator,
    small,
    spoiled,
    with_labels,
)
from tests.seldom import slow_but

ONCE = {"verbose": 0, "shuffle": False, "steps_per_epoch": 4}


@pytest.fixture(scope="module")
def model():
    return small()


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
    history = model.fit(SOURCES[source](pairs(IMAGES)), **ONCE).history
    assert set(history) == {"loss", "bits_per_dim"}
    assert len(model.evaluate(SOURCES[source](pairs(IMAGES)), steps=4, verbose=0)) == 2


@pytest.mark.parametrize("mode", ["plain", "eager"])
def test_calls_of_one_batch(mode):
    model = small(mode)
    for call in (model.train_on_batch, model.test_on_batch):
        logs = call(IMAGES, return_dict=True)
        assert set(logs) == {"loss", "bits_per_dim"}
        with pytest.raises(ValueError, match=r"of cnn expects pixels.*0.0 to 3.0"):
            call(spoiled(3))
        with pytest.raises(ValueError, match="takes no targets"):
            call(IMAGES, IMAGES)
        with pytest.raises(ValueError, match=r"Add the color axis.*shape=\(8, 3, 4\)"):
            call(IMAGES[..., 0])
        again = call(IMAGES, sample_weight=np.ones(8, "float32"), return_dict=True)
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
KINDS = [(likelihood, False) for likelihood in FAULTS]
UNDER_XLA = (Bernoulli(intensities=True), True)


@pytest.mark.parametrize("kind", slow_but([*KINDS, UNDER_XLA], *KINDS), ids=str)
def test_every_kind_of_bad_pixel_has_the_text_of_arrays(kind):
    likelihood, jit_compile = kind
    family = VAE if likelihood.num_values is None else PixelCNN
    model = family((3, 4, 1), 2, 1, likelihood=likelihood, name="cnn")
    model.compile("sgd", jit_compile=jit_compile)
    for value, text in FAULTS[likelihood].items():
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
    assert np.isfinite(model.train_on_batch(IMAGES.astype(bool))).all()


def test_log_prob_checks_data_sets_and_refuses_other_sources(model):
    with pytest.raises(ValueError, match="^cnn.log_prob expects pixels.*0.0 to 9.0"):
        model.log_prob(dataset(pairs(spoiled(9))))
    for make in (Batches, generator):
        with pytest.raises(ValueError, match="from_generator. Received: "):
            model.log_prob(make(pairs(IMAGES)))


def test_other_iterables_are_refused_with_the_line_that_mends_it(model):
    data = {"even": IMAGES[::2], "odd": IMAGES[1::2]}.values()
    for call in (model.fit, model.evaluate, model.log_prob):
        with pytest.raises(ValueError, match=r"cannot read a dict_v.*\(\(batch,\) for"):
            call(data)
    model.fit(((batch,) for batch in data), steps_per_epoch=2, verbose=0)


def test_targets_are_refused_with_the_line_that_mends_it():
    model = with_labels()
    batches = tf.data.Dataset.from_tensor_slices((IMAGES, LABELS)).batch(2)
    for data in ((batch for batch in batches), batches):
        text = r"takes no targets.*\['images', 'label'\]"
        with pytest.raises(ValueError, match=text) as caught:
            model.fit(data, verbose=0)
    (mended,) = re.findall(r"`\.map\((.*)\)`", str(caught.value))
    model.fit(batches.map(eval(mended)), verbose=0)


def test_validation_data_is_checked_in_fit_and_in_callbacks(model):
    with pytest.raises(ValueError, match="^Evaluation of cnn expects pixels"):
        model.fit(IMAGES, validation_data=Batches(pairs(spoiled(7))), verbose=0)

    class Evaluates(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            with pytest.raises(ValueError, match="^cnn.evaluate expects pixels"):
                self.model.evaluate(spoiled(7), verbose=0)
            with pytest.raises(ValueError, match="^cnn.evaluate takes no targets"):
                self.model.evaluate(IMAGES, IMAGES, verbose=0)

    options = {"validation_split": 0.5, "sample_weight": np.ones(8, "float32")}
    fitted = model.fit(IMAGES, epochs=2, verbose=0, callbacks=[Evaluates()], **options)
    assert len(fitted.history["val_loss"]) == 2


def test_models_remain_as_they_were(tmp_path):
    model = small()
    weights = len(model.weights)
    model.fit(IMAGES, verbose=0)
    assert len(model.weights) == weights
    assert len(model.non_trainable_variables) == 0
    model.save(tmp_path / "cnn.keras")
    again = keras.models.load_model(tmp_path / "cnn.keras")
    with pytest.raises(ValueError, match="Training of cnn expects pixels"):
        again.fit(Batches(pairs(spoiled(7))), verbose=0)


def test_a_loop_of_ones_own_is_checked_too():
    """Nothing reads the flag of a step there, so the step itself fails."""
    model = small()
    logs = model.train_step((IMAGES,))
    model.fit(IMAGES, verbose=0)  # After it, a loop got zeros for bad pixels.
    assert set(logs) == {"loss", "bits_per_dim"}
    before = model.get_weights()
    step = tf.function(model.train_step, autograph=False)
    for function in (model.train_step, step):
        with pytest.raises(tf.errors.InvalidArgumentError, match="out of range"):
            function((tf.constant(spoiled(2)),))
    np.testing.assert_equal(model.get_weights(), before)
    model.fit(IMAGES, verbose=0)
