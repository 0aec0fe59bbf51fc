"""Checks of models whose likelihood couples the colors of a pixel, 3x4 in size."""

import numpy as np
import tensorflow as tf

from keras_genimg.serving import write_saved_model

SHAPE = (3, 4, 3)


def check_completes(model, temperature=1.0):
    """Check that known pixels stay, that methods agree, and the candidates' weights."""
    images = model.generate(4, seed=50)
    known = np.zeros((3, 4))
    known[0], known[2, 1:] = 1, 1
    options = {"seed": 9, "num_candidates": 3, "temperature": temperature}
    completed, sizes = model.complete(
        images, known, return_effective_sample_size=True, **options
    )
    np.testing.assert_array_equal(completed[:, known > 0], images[:, known > 0])
    assert (completed != images).any()
    for method in ("ancestral", "fixed_point"):
        again = model.complete(images, known, method=method, **options)
        np.testing.assert_array_equal(again, completed)
    assert ((sizes >= 1) & (sizes <= 3)).all() and (sizes < 2.99).any()


def traced_shapes(monkeypatch, likelihood_class):
    """Return a list that collects the shapes of parameters and uniforms of `sample`."""
    shapes, sample = [], likelihood_class.sample

    def recorded(self, params, uniforms, temperature=1.0):
        shapes.append((params.shape[1:], uniforms.shape[1:]))
        return sample(self, params, uniforms, temperature)

    monkeypatch.setattr(likelihood_class, "sample", recorded)
    return shapes


def check_exported(model, path):
    """Check that endpoints written to `path` compute what the model's methods do."""
    endpoints = model.endpoints(SHAPE, num_candidates=2)
    names = ("sample", "log_prob", "check_sampler", "complete")
    endpoints = {name: endpoints[name] for name in names}
    write_saved_model(model, path, endpoints, max_examples=8, verbose=False)
    served = tf.saved_model.load(path).signatures
    drawn = model.generate(2, seed=4)
    images = model.likelihood.to_display(drawn)
    seed = tf.constant([4, 5], tf.int64)
    np.testing.assert_array_equal(served["sample"](seed=seed)["images"], images)
    shown = tf.constant(images, tf.int32)
    nats = served["log_prob"](images=shown)["log_prob"]
    np.testing.assert_allclose(nats, model.log_prob(drawn), rtol=1e-5)
    difference = served["check_sampler"](images=shown)["largest_difference"]
    assert np.max(difference) < 1e-4
    known = np.zeros((2, 3, 4), "int32")
    known[:, 1] = 1
    completed = served["complete"](images=shown, known=tf.constant(known), seed=seed)
    expected = model.complete(drawn, known, seed=4, num_candidates=2)
    np.testing.assert_array_equal(
        completed["images"], model.likelihood.to_display(expected)
    )


def check_latent_model(model, num_params):
    """Check that a VAE or a DRAW with such a likelihood trains, scores and draws."""
    model.compile("adam", run_eagerly=True)
    num_values = model.likelihood.num_values
    images = np.random.default_rng(0).integers(num_values, size=(4, *SHAPE))
    images = images.astype("uint8")
    model.fit(images, verbose=0)
    assert model(images).shape == (4, 3, 4, num_params)
    log_prob = model.log_prob(images, num_samples=2, seed=0)
    assert log_prob.shape == (4,) and np.isfinite(log_prob).all()
    mean = model.generate(2, seed=0)
    assert mean.shape == (2, *SHAPE)
    assert ((mean > 0) & (mean < num_values - 1)).all()
    pixels = model.generate(2, seed=0, sample_pixels=True)
    assert pixels.shape == (2, *SHAPE) and pixels.dtype == np.uint8
