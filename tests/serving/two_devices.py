"""Exports of models trained on several devices, checked by conformance/replicas.py."""

import pathlib

import numpy as np
import tensorflow as tf

from keras_genimg.models import DRAW, VAE, PixelCNN
from keras_genimg.serving import write_saved_model

# Endpoints that read all weights.
NAMES = ("sample", "log_prob", "elbo")


def check_export(strategy, folder):
    """Train models on all devices of a strategy, export them to a folder, and draw."""
    makers = [
        lambda: PixelCNN((3, 4, 1), 4, 1),
        lambda: VAE((3, 4, 1), 2, 4),
        lambda: DRAW((3, 4, 1), 2, 4, 2, 2, 2),
    ]
    images = np.random.default_rng(0).integers(0, 2, (8, 3, 4, 1)).astype("uint8")
    for make in makers:
        with strategy.scope():
            model = make()
            # The same step in a graph is tried by tests/conformance/replicas.py.
            model.compile("adam", run_eagerly=True)
        model.fit(images, batch_size=4, verbose=0)
        path = pathlib.Path(folder) / type(model).__name__
        endpoints = model.endpoints(model.image_shape)
        endpoints = {name: endpoints[name] for name in NAMES if name in endpoints}
        options = {"max_examples": 8, "batching": True, "verbose": False}
        write_saved_model(model, path, endpoints, **options)
        stored = sum(f.stat().st_size for f in (path / "variables").glob("*.data-*"))
        assert stored < 1.5 * sum(w.numpy().nbytes for w in model.weights) + 20_000
        sample = tf.saved_model.load(str(path)).signatures["sample"]
        drawn = sample(seed=tf.constant([5, 6, 7], tf.int64))["images"]
        expected = model.likelihood.to_display(model.generate(3, seed=5))
        np.testing.assert_array_equal(drawn, expected)
