"""Endpoints of autoregressive models."""

import math

import tensorflow as tf

from keras_genimg.serving.endpoint import (
    Endpoint,
    checked_images,
    checked_known,
    checked_seeds,
)


def autoregressive_endpoints(model, image_shape, method="incremental"):
    """Return what a server can ask of an autoregressive model.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, all known.
        method: How to draw, as in `AutoregressiveModel.generate`.

    Returns:
        Dict of `Endpoint` by signature name: `sample`, `complete` and `log_prob`.
        Conditions are inputs of all of them.
    """
    likelihood = model.likelihood
    conditions = {
        tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype)
        for tensor in model.inputs[1:]
    }
    draw = model.sampler(method, image_shape)
    complete = model.sampler(method, image_shape, completes=True)
    bits = 1 / (math.log(2) * math.prod(image_shape))

    def run_sample(seed, **conditions):
        conditions = model.checked_conditions(conditions).values()
        images = draw(checked_seeds(seed), 1.0, *conditions)
        return {"images": likelihood.to_display(images)}

    def run_complete(images, known, seed, **conditions):
        conditions = model.checked_conditions(conditions).values()
        images, known = checked_images(images), checked_known(known)[..., None]
        completed = complete(
            checked_seeds(seed),
            1.0,
            likelihood.from_display(images),
            tf.cast(known, tf.float32),
            *conditions,
        )
        completed = likelihood.to_display(completed)
        # A known pixel comes back as it was sent, also where it is no value that the
        # likelihood has.
        return {"images": tf.where(known > 0, tf.cast(images, tf.uint8), completed)}

    def run_log_prob(images, **conditions):
        conditions = model.checked_conditions(conditions).values()
        images = likelihood.from_display(checked_images(images))
        nats = model.log_prob_graph(images, *conditions)
        return {"log_prob": nats, "bits_per_dim": -nats * bits}

    seed = {"seed": tf.TensorSpec((None,), tf.int64)}
    images = {"images": tf.TensorSpec((None, *image_shape), tf.int32)}
    known = {"known": tf.TensorSpec((None, *image_shape[:2]), tf.int32)}
    return {
        "sample": Endpoint(run_sample, {**seed, **conditions}),
        "complete": Endpoint(run_complete, {**images, **known, **seed, **conditions}),
        "log_prob": Endpoint(run_log_prob, {**images, **conditions}),
    }
