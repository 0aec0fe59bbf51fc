"""Files, callbacks and data on two devices; run by `tests.conformance.replicas`."""

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from keras_genimg.callbacks import Reconstructions, SampleGrid
from keras_genimg.callbacks.resume import ReplicaValues
from keras_genimg.models import VAE
from keras_genimg.serving import publish
from keras_genimg.visualization import image_grid
from tests.fitting.test_steps import IMAGES, SHAPE, batches, pixels


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
