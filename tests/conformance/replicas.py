"""Check layers and models on two CPU devices, in one process; run by a test.

Each layer and five models are trained on one device and on two.

Models end with the same weights, noise and uneven batches included. In a custom model,
layers that draw noise end with different weights; the devices must draw different noise
there. Layers are trained side by side in one eager model, since tracing takes most of
the time. Models are trained in graphs, and their exports must draw the same images.
Unsupported uses must be refused. Callbacks draw and files are written, and steps take
all kinds of data.
"""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_genimg.callbacks import Reconstructions, SampleGrid
from keras_genimg.callbacks.resume import ReplicaValues
from keras_genimg.models import VAE
from keras_genimg.serving import publish
from keras_genimg.visualization import image_grid
from tests.causality.refused import IMAGES as WIRED_IMAGES
from tests.causality.refused import TEXT
from tests.causality.wired import wired
from tests.conformance.registry import LAYERS, MODELS
from tests.fitting.pixels import IMAGES, SHAPE, batches, pixels
from tests.serving.some_endpoints import check_export
from tests.untuned import leave_datasets_untuned

# With labels, of several scales, in several orders, with noise, and with a loop of
# steps. Attention is among the layers.
REPLICATED = (
    "PixelCNN_classes",
    "MultiScalePixelRNN",
    "OrientedModel",
    "VAE",
    "DRAW_whole",
)


class Squares(keras.Model):
    """A model trained to output ones. Keras would build a compiled loss in a graph."""

    def compute_loss(self, x, y, y_pred, *args, **kwargs):
        loss = keras.losses.MeanSquaredError()
        losses = [loss(tf.ones_like(each), each) for each in y_pred.values()]
        return sum([*losses, *self.losses])


def model_of_layers():
    """Return a model with an output for each layer, and its parts by layer name."""
    parts = {name: case.model() for name, case in LAYERS.items()}
    inputs, outputs = {}, {}
    for name, part in parts.items():
        own = {
            key: keras.Input(shape, name=f"{name}_{key}")
            for key, shape in LAYERS[name].inputs.items()
        }
        inputs.update({tensor.name: tensor for tensor in own.values()})
        outputs[name] = part(own)
    model = Squares(inputs, outputs)
    model.compile(keras.optimizers.SGD(0.01), run_eagerly=True)
    return model, parts


def train_layers(strategy):
    """Return the weights by layer name."""
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model, parts = model_of_layers()
    x = {
        f"{name}_{key}": value
        for name, case in LAYERS.items()
        for key, value in case.example(8).items()
    }
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(8), verbose=0)
    return {name: part.get_weights() for name, part in parts.items()}


def train_model(strategy, case, eager=False):
    """Return the trained model and the losses."""
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = case.make()
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=eager)
    # The replicas have 2 and 1 images of the second batch, and of the third 1 and 0.
    x = tf.data.Dataset.from_tensor_slices(case.example(7)).batch(3)
    losses = model.fit(x, verbose=0).history
    one_image = model.evaluate(x.unbatch().batch(1).take(1), verbose=0)
    return model, {**losses, "one image": one_image}


def check_same(name, weights, others):
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)


def check_other_noise(name, strategy, make, example, weights):
    for value in weights:
        assert np.isfinite(value).all(), name
    example = tf.constant(example, tf.float32)
    with strategy.scope():
        layer = make()
        layer(example)  # Builds it.
    # Both devices get the same images, so that only noise can differ.
    outputs = strategy.run(tf.function(layer, autograph=False), (example,))
    first, second = strategy.experimental_local_results(outputs)
    assert np.abs(first - second).max() > 1e-4, name


def check_bad_inputs(model, x):
    """Check that a bad input of either device raises, and leaves no state behind."""

    def dataset(name, index, value):
        values = x[name].copy()
        values[index] = value
        return tf.data.Dataset.from_tensor_slices({**x, name: values}).batch(8)

    ranks = tf.nest.map_structure(
        lambda array: tf.TensorSpec([None] * array.ndim, array.dtype), x
    )
    smaller = {**x, "images": x["images"][:, 1:]}
    other_size = tf.data.Dataset.from_generator(
        lambda: iter([x, smaller]), output_signature=ranks
    )
    name, pixels = model.name, "expects pixels.*values from 0 to 9, dtype uint8"
    for call, what, index in (
        (model.fit, "Training", 7),
        (model.evaluate, "Evaluation", 0),
    ):
        for data, text in (
            (other_size, f"^{what} of {name} expects images of shape"),
            (dataset("images", index, 9), f"^{what} of {name} {pixels}"),
            (dataset("label", index, 3), f"^`label` of {name} .* from 0 to 2.*3"),
        ):
            with pytest.raises(ValueError, match=text):
                call(data, verbose=0)
    history = model.fit(dataset("label", 0, 2), verbose=0).history
    assert set(history) == {"loss", "bits_per_dim"}


def check_refusals(strategy):
    """Check that a model and its optimizer made in different scopes are refused."""
    elsewhere = keras.optimizers.Adam(name="adam")
    text = "its optimizer adam in another.*around the model, the opt"
    with strategy.scope():
        model = MODELS["VAE"].make()
        with pytest.raises(ValueError, match=text):
            model.compile(elsewhere)
    with pytest.raises(
        ValueError, match="the scope of Mirrored.* in no scope. Do both"
    ):
        model.compile("sgd")
    outside = MODELS["VAE"].make()
    with strategy.scope(), pytest.raises(ValueError, match="made in no scope and comp"):
        outside.compile("sgd")


def check_causality(strategy):
    """Check that causal models train and draw, and that others are refused."""
    images, text = WIRED_IMAGES, TEXT
    with strategy.scope():
        good, bad = wired(), wired(mask="B")
        hidden = wired(mask="B", kernel_initializer="zeros")
        with pytest.raises(ValueError, match=text):
            bad.fit(images, verbose=0)
    for model in (bad, hidden):
        with pytest.raises(ValueError, match=text):
            model.fit(images, verbose=0)
        with pytest.raises(ValueError, match=text):
            model.generate(1)
    good.generate(1)
    before = good.get_weights()
    good.fit(images, batch_size=8, verbose=0)
    assert (before[0] != good.get_weights()[0]).any()
    good.generate(1)


def check_files(strategy, folder):
    """Check that callbacks draw while replicas train, and that files are written."""
    with strategy.scope():
        model = VAE(SHAPE, 2, 4)
        model.compile("adam", run_eagerly=True)
    grid = SampleGrid(folder / "samples", 4, seed=3, scale=1)
    reconstructions = Reconstructions(folder / "reconstructions", IMAGES)
    model.fit(IMAGES, batch_size=4, verbose=0, callbacks=[grid, reconstructions])
    drawn = model.generate(4, seed=3, verbose=0)
    with Image.open(folder / "samples" / "epoch_0001.png") as picture:
        expected = image_grid(model.likelihood.to_display(drawn))
        np.testing.assert_array_equal(picture, expected)
    assert (folder / "reconstructions" / "epoch_0001.png").exists()

    model.save(folder / "model.keras")
    publish(model, folder, "served", batch_sizes=(), verify=False, verbose=False)
    assert (folder / "served" / "1" / "saved_model.pb").exists()
    loaded = keras.models.load_model(folder / "model.keras")
    np.testing.assert_array_equal(loaded.generate(4, seed=3, verbose=0), drawn)
    images = np.eye(4, dtype="uint8")[None, ..., None]
    np.testing.assert_allclose(
        loaded.log_prob(images, seed=0, num_samples=2, verbose=0),
        model.log_prob(images, seed=0, num_samples=2, verbose=0),
        rtol=1e-5,
    )


def check_data(one, two):
    """Check that steps on all kinds of data end as on one device."""
    ended = []
    for strategy, dtype in ((one, "uint8"), (two, "uint8"), (two, "bool")):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = pixels()
        x = batches(IMAGES.astype(dtype), known=False)
        model.fit(x, verbose=0, validation_data=x)
        assert model.optimizer.iterations.numpy() == 3
        # Each replica gets the whole batch.
        model.train_on_batch(IMAGES.astype(dtype))
        logs = model.test_on_batch(IMAGES.astype(dtype))
        ended.append([*model.get_weights(), np.array(logs)])
    for others in ended[1:]:
        for value, other in zip(ended[0], others, strict=True):
            np.testing.assert_allclose(value, other, atol=1e-5)


def check_own_loop(one, two):
    """Check that the idle replica of a custom training loop does not count."""
    logs = []
    for strategy in (one, two):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = VAE(SHAPE, 2, 4)
            model.compile("sgd", metrics=[keras.metrics.MeanSquaredError()])
        (batch,) = strategy.experimental_distribute_dataset(batches(IMAGES[:1]))
        step = tf.function(model.train_step, autograph=False)
        strategy.run(step, ((batch,),))
        logs.append(model.get_metrics_result())
    names = {"loss", "reconstruction", "kl", "elbo", "mean_squared_error"}
    assert set(logs[0]) == names
    for name, value in logs[0].items():
        np.testing.assert_allclose(logs[1][name], value, 1e-5, err_msg=name)


def check_weights(one, two):
    """Check that weights come with the images, and other targets of a device raise."""
    weights = np.linspace(0, 2, len(IMAGES), dtype="float32")
    ended = []
    for strategy in (one, two):
        keras.utils.set_random_seed(0)
        with strategy.scope():
            model = pixels()

        def triples(targets):
            data = tf.data.Dataset.from_tensor_slices((IMAGES, targets, weights))
            return data.batch(4)

        model.fit(triples(IMAGES), verbose=0)
        ended.append([*model.get_weights(), model.evaluate(triples(IMAGES), verbose=0)])
        for index in (0, len(IMAGES) - 1):
            targets = IMAGES.copy()
            targets[index] = 1 - targets[index]
            for call in (model.fit, model.evaluate):
                with pytest.raises(ValueError, match="takes no targets.*With weights"):
                    call(triples(targets), verbose=0)
    for value, other in zip(*ended, strict=True):
        np.testing.assert_allclose(value, other, atol=1e-5)


def check_arrays_stay(strategy):
    """Check that steps do not write to the arrays that a generator yielded."""
    with strategy.scope():
        model = pixels()
    images = aligned(IMAGES[:4].astype("float32"))
    weights = aligned(np.array([1, 2, 3, 0.5], "float32"))
    calls = (
        lambda data: model.evaluate(data, steps=2, verbose=0),
        lambda data: model.fit(data, steps_per_epoch=2, verbose=0),
    )
    for arrays in ((images,), (images, images, weights), (images, None, weights)):
        expected = copy.deepcopy([*arrays])
        for call in calls:
            call(arrays for _ in range(2))
            np.testing.assert_equal(list(arrays), expected)


def aligned(array):
    """Return a copy that begins at a multiple of 64 bytes, which TensorFlow shares."""
    memory = np.zeros(array.nbytes + 64, "uint8")
    start = -memory.ctypes.data % 64
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def check_metrics(strategy):
    """Check that each replica gets back its own part of a metric, not only the sum."""
    with strategy.scope():
        metric = keras.metrics.Mean()

    def update():
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        metric.update_state(tf.cast(replica, tf.float32) + 0.1)

    tf.function(lambda: strategy.run(update), autograph=False)()
    values = ReplicaValues(strategy, metric.variables)
    saved = values.read()
    np.testing.assert_allclose(saved[0], [0.1, 1.1])
    metric.reset_state()
    values.write(saved)
    np.testing.assert_array_equal(values.read(), saved)
    np.testing.assert_allclose(float(metric.result()), 0.6)
    # Saved on three replicas: the sums remain.
    values.write([np.array([1, 2, 3], "float32"), np.array([1, 1, 1], "float32")])
    np.testing.assert_allclose(float(metric.result()), 2)


def main(folder):
    """Run all checks, and export to a folder."""
    leave_datasets_untuned()
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        device, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])

    weights, others = train_layers(one), train_layers(two)
    for name, case in LAYERS.items():
        if case.random:
            example = next(iter(case.example(4).values()))
            check_other_noise(name, two, case.make, example, others[name])
            continue
        check_same(name, weights[name], others[name])

    for name in REPLICATED:
        case = MODELS[name]
        model, losses = train_model(two, case)
        other, other_losses = train_model(one, case, eager=not case.random)
        for key, values in other_losses.items():
            # A KL near 0 is a difference of terms near 1: 1e-6 is eight of their ulps.
            np.testing.assert_allclose(losses[key], values, 1e-4, 1e-6, err_msg=key)
        check_same(name, model.get_weights(), other.get_weights())
        if name == "PixelCNN_classes":
            check_bad_inputs(model, case.example(8))
        if name != "MultiScalePixelRNN":
            check_export(model, folder)

    check_refusals(two)
    check_causality(two)
    check_files(two, folder)
    check_data(one, two)
    check_weights(one, two)
    check_arrays_stay(two)
    check_own_loop(one, two)
    check_metrics(two)
