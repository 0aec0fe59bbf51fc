"""Exports of models trained on several devices, checked by conformance/replicas.py."""

import pathlib

import numpy as np
import tensorflow as tf

from keras_genimg.serving import write_saved_model

# Endpoints that read all weights.
NAMES = ("sample", "log_prob", "elbo")


def check_export(model, folder):
    """Export a trained model to a folder, and draw."""
    path = pathlib.Path(folder) / model.name
    endpoints = model.endpoints(model.image_shape)
    endpoints = {name: endpoints[name] for name in NAMES if name in endpoints}
    options = {"max_examples": 8, "batching": True, "verbose": False}
    write_saved_model(model, path, endpoints, **options)
    stored = sum(f.stat().st_size for f in (path / "variables").glob("*.data-*"))
    assert stored < 1.5 * sum(w.numpy().nbytes for w in model.weights) + 20_000
    sample = tf.saved_model.load(str(path)).signatures["sample"]
    given, conditions = {"seed": tf.constant([5, 6, 7], tf.int64)}, {}
    if "label" in sample.structured_input_signature[1]:
        given["label"], conditions = tf.constant([0, 1, 2]), {"conditions": [0, 1, 2]}
    expected = model.likelihood.to_display(model.generate(3, seed=5, **conditions))
    np.testing.assert_array_equal(sample(**given)["images"], expected)
