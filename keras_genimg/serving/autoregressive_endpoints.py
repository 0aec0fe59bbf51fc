"""Endpoints of autoregressive models."""

import math

import tensorflow as tf

from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.proof import sampler_difference, tolerance
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.serving.endpoint import Endpoint, with_png
from keras_genimg.serving.input import SEED, Input, images_input

# Random images on which an export compares the sampler with the forward pass.
_NUM_TRIED = 3


def autoregressive_endpoints(
    model, image_shape, method=None, jit_compile=False, num_candidates=1
):
    """Return the endpoints of an autoregressive model.

    Args:
        model: An `AutoregressiveModel`.
        image_shape: `(height, width, colors)`, all known.
        method: `"incremental"`, `"fixed_point"` or `"ancestral"`.
        jit_compile: Whether to compile with XLA.
        num_candidates: Number of completions among which `complete` chooses.

    Returns:
        Dict of `Endpoint` by signature name: `sample`, `sample_png`,
        `sample_with_temperature`, `complete` and `log_prob`, each with the conditions
        as further inputs. The incremental sampler without XLA adds `check_sampler`,
        which compares the sampler with the forward pass on given images.

    Raises:
        ValueError: If `num_candidates` is not an integer of at least 1, or the
            incremental sampler and the model disagree.
    """
    num_candidates = check_positive_int("num_candidates", num_candidates, "endpoints")
    image_shape, drawer = tuple(image_shape), model._drawer
    method = drawer.checked_method(method)
    drawer.prove(method, image_shape[:2], jit_compile)
    likelihood = model.likelihood
    conditions = served_conditions(model, image_shape)
    # A `tf.function`, so that all drawing signatures share its graph.
    draw = drawer.from_seeds(method, image_shape, jit_compile)
    draw = tf.function(draw, autograph=False)
    complete = drawer.from_seeds(method, image_shape, jit_compile, num_candidates)
    bits = 1 / (math.log(2) * math.prod(image_shape))

    def in_order(given):
        return [given[name] for name in conditions]

    def run_sample(seed, temperature=None, **given):
        if temperature is None:
            temperature = tf.ones_like(seed, tf.float32)
        images = draw(seed, temperature, *in_order(given))
        return {"images": likelihood.to_display(images)}

    def run_complete(images, known, seed, **given):
        known = known[..., None]
        completed, effective_sample_size = complete(
            seed,
            1.0,
            likelihood.from_display(images),
            tf.cast(known, tf.float32),
            *in_order(given),
        )
        completed = likelihood.to_display(completed)
        # Return known pixels exactly as sent, even if the likelihood does not have
        # their value.
        return {
            "images": tf.where(known > 0, tf.cast(images, tf.uint8), completed),
            "effective_sample_size": effective_sample_size,
        }

    def run_log_prob(images, **given):
        images = likelihood.from_display(images)
        nats = drawer.log_prob(images, *in_order(given))
        return {"log_prob": nats, "bits_per_dim": -nats * bits}

    seed = {"seed": SEED, **conditions}
    images = {"images": images_input(image_shape), **conditions}
    temperature = Input(tf.TensorSpec((None,), tf.float32), 0, low_open=True)
    # 1 for each pixel that is given.
    known = Input(tf.TensorSpec((None, *image_shape[:2]), tf.int32), 0, 1)
    drawing = {"jit_compile": jit_compile, "mergeable": True}
    endpoints = {
        "sample": Endpoint(run_sample, seed, **drawing),
        "sample_with_temperature": Endpoint(
            run_sample, {**seed, "temperature": temperature}, **drawing
        ),
        "complete": Endpoint(
            run_complete,
            {**images, "known": known, **seed},
            num_candidates=num_candidates,
            **drawing,
        ),
        "log_prob": Endpoint(run_log_prob, images, jit_compile),
    }
    if method == "incremental" and not jit_compile:
        endpoints["check_sampler"] = _check_sampler(model, image_shape, images)
    return with_png(endpoints)


def _check_sampler(model, image_shape, inputs):
    """Return the endpoint that compares the sampler with the forward pass."""

    def run(images, **given):
        images = model.likelihood.from_display(images)
        conditions = [given[name] for name in inputs if name != "images"]
        networks = model._drawer.networks(images, conditions)
        differences = [sampler_difference(*network) for network in networks]
        return {"largest_difference": tf.reduce_max(differences, axis=0)}

    pairs = ImagePairs(model, image_shape)
    images, *conditions = (tf.constant(values[:_NUM_TRIED]) for values in pairs.before)
    networks = model._drawer.networks(tf.cast(images, tf.float32), conditions)
    limit = max(tolerance(*network) for network in networks)
    return Endpoint(
        run, inputs, warm_up=False, at_most={"largest_difference": float(limit)}
    )


def served_conditions(model, image_shape):
    """Return the conditions as inputs of endpoints, in order.

    Args:
        model: A `GenerativeModel`.
        image_shape: `(height, width, colors)`. Condition maps of unknown size get this
            height and width.

    Returns:
        Dict of `keras_genimg.serving.Input` by name.
    """
    served = {}
    for tensor in model.inputs[1:]:
        shape = list(tensor.shape)
        if len(shape) == 4:
            sizes = zip(shape[1:3], image_shape[:2], strict=True)
            shape[1:3] = [size or whole for size, whole in sizes]
        spec = tf.TensorSpec(shape, tensor.dtype)
        limits = model.condition_ranges.get(tensor.name, ())
        if spec.dtype.is_bool and tuple(limits) == (0, 1):
            limits = ()  # TensorFlow does not compare booleans.
        served[tensor.name] = Input(spec, *limits)
    return served
