"""Exports of a few endpoints, which take less time than those of all."""

import pathlib

import numpy as np
import tensorflow as tf

from keras_genimg.serving import write_saved_model


def write_endpoints(model, path, *names, max_examples=8, batching=False, **options):
    """Write a SavedModel with the endpoints of a model called `names`."""
    endpoints = model.endpoints(**{"image_shape": model.image_shape, **options})
    endpoints = {name: endpoints[name] for name in names}
    options = {"batching": batching, "verbose": False}
    write_saved_model(model, path, endpoints, max_examples, **options)


def check_export(model, folder):
    """Export a model trained on several devices, and draw."""
    path = pathlib.Path(folder) / model.name
    endpoints = model.endpoints(model.image_shape)
    # Endpoints that read all weights.
    names = [name for name in ("sample", "log_prob", "elbo") if name in endpoints]
    write_endpoints(model, path, *names, batching=True)
    stored = sum(f.stat().st_size for f in (path / "variables").glob("*.data-*"))
    assert stored < 1.5 * sum(w.numpy().nbytes for w in model.weights) + 20_000
    sample = tf.saved_model.load(str(path)).signatures["sample"]
    given, conditions = {"seed": tf.constant([5, 6, 7], tf.int64)}, {}
    if "label" in sample.structured_input_signature[1]:
        given["label"], conditions = tf.constant([0, 1, 2]), {"conditions": [0, 1, 2]}
    expected = model.likelihood.to_display(model.generate(3, seed=5, **conditions))
    np.testing.assert_array_equal(sample(**given)["images"], expected)
