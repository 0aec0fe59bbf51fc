"""Leaks that a model has in training alone."""

import contextlib
import dataclasses
import functools
import warnings
from collections.abc import Callable, Generator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg.causality.blame import leaking_layer
from keras_genimg.causality.changes import leaks_between, params_of, some_of
from keras_genimg.causality.image_pairs import ImagePairs
from keras_genimg.causality.leak import Leak, worst_leak
from keras_genimg.causality.random_weights import random_values
from keras_genimg.keras_private import all_layers
from keras_genimg.model_types import PixelModel
from keras_genimg.sampling.forward_passes import forward_pass
from keras_genimg.types import Array


def training_leak(model: PixelModel, pairs: ImagePairs) -> Leak | None:
    """Find a sub-pixel that sees itself or a later one in training.

    Images and changed images are evaluated at the same places of two batches, under
    the same noise. A difference then comes from the change alone.

    The statistics of a batch, as in `keras.layers.BatchNormalization`, let all pixels
    see each other, and so do other layers that mix the images of a batch in training.
    This makes the loss of training too low, but changes nothing in what the model
    generates, so it is a warning. The normalizations of Keras are then evaluated as in
    inference, to find other leaks.

    Args:
        model: An `AutoregressiveModel`, in float32.
        pairs: Its `ImagePairs`.

    Returns:
        A `Leak`, or None.
    """
    weights = random_values(model)
    weighed = {id(weight) for weight in model.weights}
    # Each forward pass begins with these states of the random generators, so that all
    # passes have the same noise.
    states = [(x, x.value) for x in model.variables if id(x) not in weighed]

    def fresh_scope() -> keras.StatelessScope:
        return keras.StatelessScope(state_mapping=[*weights, *states])

    def params(inputs: Sequence[Array], forward: Callable[..., Any]) -> Array:
        with fresh_scope():
            return params_of(model, inputs, forward)

    # A model without random generators that computes in training what it computes in
    # inference is checked there. Two images show whether it does.
    if not states:
        two = some_of(pairs.before, slice(2))
        both = params(two, forward_pass), params(two, _training_pass)
        if np.array_equal(*both, equal_nan=True):
            return None
    normalizations = [
        layer
        for layer in all_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and layer.trainable
    ]
    if normalizations:
        named = ", ".join(f"'{layer.name}'" for layer in normalizations)
        _warn_of_statistics(model, f"BatchNormalization {named}")
    with _not_trainable(normalizations):
        before, after, again = (
            params(inputs, _with_same_noise(_training_pass))
            for inputs in (pairs.before, pairs.after, pairs.before)
        )
        if not np.array_equal(before, again, equal_nan=True):
            warnings.warn(
                f"Could not check whether {model.name} is causal in training, since "
                f"the noise of its layers cannot be repeated. Let them take it from "
                f"keras.random, with a keras.random.SeedGenerator.",
                stacklevel=2,
            )
            return None
        leaks = leaks_between(pairs, before, after)
        if leaks[0].any():  # The first image is the same in both batches.
            _warn_of_statistics(model, "A layer")
            return None
        changed, seen_by = np.nonzero(leaks)
        if len(changed) == 0:
            return None
        leak = worst_leak(pairs.units[changed], seen_by, pairs.unit_shape)
        same = pairs.units == np.ravel_multi_index(leak.changed, pairs.unit_shape)

        def outputs_of(graph: keras.Model, inputs: Sequence[Array]) -> list[Array]:
            def run(_: Any, images: Any, others: Any) -> Any:
                return graph([images, *others], training=True)

            # All images are computed, since their noise depends on their places.
            images, *others = map(tf.constant, inputs)
            with fresh_scope():
                outputs = _with_same_noise(run)(model, images, others)
            return [output.numpy()[same] for output in outputs]

        try:
            layer = leaking_layer(
                model, leak, pairs.before, pairs.after, outputs_of=outputs_of
            )
        except Exception:
            layer = None  # Keras cannot walk the graph.
        return dataclasses.replace(leak, layer=layer, in_training=True)


def _training_pass(
    model: PixelModel, images: tf.Tensor, conditions: Sequence[tf.Tensor]
) -> Any:
    return forward_pass(model, images, conditions, training=True)


def _with_same_noise(forward: Callable[..., Any]) -> Callable[..., Any]:
    """Return a forward pass in a new graph, whose random operations have one seed.

    Layers that use `tf.random` then get the same numbers in two such passes.
    The seed of the process stays as it is.

    Args:
        forward: Function of a model, images and conditions.
    """

    def run(forward: Callable[..., Any], *arguments: Any) -> Any:
        tf.random.set_seed(0)  # In a graph, it sets the seed of this graph alone.
        return forward(*arguments)

    # TensorFlow counts the traces of a function by its code, which a partial has not.
    return tf.function(functools.partial(run, forward), autograph=False)


@contextlib.contextmanager
def _not_trainable(layers: list[keras.Layer]) -> Generator[None]:
    """Return a context in which layers compute in training as in inference."""
    # The setter of a layer sets all of its variables, some of which may be frozen.
    variables = [(v, v.trainable) for layer in layers for v in layer.variables]
    for layer in layers:
        layer.trainable = False
    try:
        yield
    finally:
        for layer in layers:
            layer.trainable = True
        for variable, trainable in variables:
            variable.trainable = trainable


def _warn_of_statistics(model: PixelModel, layers: str) -> None:
    warnings.warn(
        f"{layers} of {model.name} mixes the images of a batch in training, so that "
        f"pixels see later ones through the statistics of the batch. The loss of "
        f"training is then lower than that of the model that generates, which "
        f"`evaluate` and `log_prob` report. Use a layer that treats each pixel alone, "
        f"such as LayerNormalization.",
        stacklevel=2,
    )
