"""Models of images in several orders of pixels."""

import functools
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import ArrayLike

from keras_genimg.generation.oriented import OrientedScheme
from keras_genimg.generation.samplers import Samplers
from keras_genimg.generation.scheme import SamplingScheme
from keras_genimg.inputs.calls import map_images
from keras_genimg.inputs.images import inputs_of
from keras_genimg.keras_private import forget_losses, set_direction
from keras_genimg.losses.negative_log_likelihood import GivenNats
from keras_genimg.models.autoregressive_model import AutoregressiveModel
from keras_genimg.models.pixel_networks import GatedPixelCNN, PixelCNN, PixelRNN
from keras_genimg.ops.checks import check_image_shape
from keras_genimg.ops.orientations import (
    NUM_FLIPS,
    NUM_ORDERS,
    pixel_orders,
    pixels_of,
    turned,
)
from keras_genimg.ops.replicas import place_in_batch
from keras_genimg.ops.uniforms import next_seed
from keras_genimg.presets.settings import ORIENTED_MODEL
from keras_genimg.types import (
    Conditions,
    Config,
    Images,
    Method,
    Policy,
    Seeds,
    Verbose,
)

# Networks that a preset can name.
_NETWORKS = {each.__name__: each for each in (PixelCNN, PixelRNN, GatedPixelCNN)}


@keras.saving.register_keras_serializable(package="keras_genimg")
class OrientedModel(AutoregressiveModel):
    """Model of images in up to eight orders of pixels, by one autoregressive network.

    The orders are the symmetries of the square. An image is mirrored and transposed
    before it enters the network, which reads the order as one of its classes. So one
    set of weights has a joint distribution `p[o]` of all pixels for each order `o`, and
    the model is their mixture:

        p(x) = 1 / n * sum over the n orders o of p[o](x)

    The number of an order says where it begins and how it goes on:

        0  row by row from the top left, which is raster order
        1  row by row from the top right
        2  row by row from the bottom left
        3  row by row from the bottom right
        4  column by column from the top left
        5  column by column from the top right
        6  column by column from the bottom left
        7  column by column from the bottom right

    `complete` takes for each image the order `o` in which the fewest known pixels
    follow the first unknown one, of several the first in `orders`; `return_orders=True`
    returns them. Unknown pixels are sampled in this order, each conditioned on the
    pixels before it. If no known pixel
    follows an unknown one, the result is an exact sample of `p[o](unknown | known)`,
    the distribution of that order, not of the mixture. So it is if an upper or a lower
    part is known, and for square images also a left or a right part. Otherwise,
    `num_candidates` and the effective sample size are as in other models.

    `fit` trains each image of a batch in one order. Successive images of a batch have
    successive orders, beginning with a random one in each step, by the
    model's seed and independent of the number of replicas. The loss is `-log p[o](x)`
    of these orders. `evaluate` and validation data report `-log p(x)` of the mixture,
    which is never above the mean over all orders. Losses that layers of the network add
    by `add_loss` or an `activity_regularizer` are part of the loss of `fit` alone.

    `evaluate` and `log_prob` make a forward pass for each order, one after the other. A
    step of `fit`, `generate` and `complete` take as long as with one order.

    Args:
        network: Autoregressive model of images of a known size with one class for each
            order, such as `PixelRNN(..., num_classes=8)`; with labels too, for
            `condition="order"`, `PixelRNN(..., num_classes={"order": 8, "label": 10})`.
            Conditions besides the order become conditions of this model. Condition maps
            of the size of the images are turned with them; others must have the size
            1×1.
        orders: Numbers from 0 to 7, each once; the order at index `k` is class `k`
            of the network. By default all: eight, or the first four for images that are
            not square, which cannot be transposed.
        condition: Name of the network's input that is the order.
        seed: Integer that makes the orders of training reproducible.
        sampling_method: Sampler that is used unless a call names another; by default
            that of the network.
        dtype: Dtype policy that the model reports; the network has its own.
        **kwargs: Arguments of `keras.Model`, such as `name`.

    Attributes:
        network: The network. `network.generate` and its other methods take the index of
            an order as a condition, and turned images.
        orders: The orders as a tuple.
        check_causality: Whether to check the network before it trains, computes a
            number or generates an image. True in new and loaded models; the value is
            not saved.

    Input shape:
        Images in the likelihood's own range, `(batch, height, width, colors)`, or a
        list or a dict of them and the conditions.

    Output shape:
        `(batch,)`: `-log p(x)` in nats, float32; in training, that of one order. A
        metric in `compile` receives it as `y_pred`. The attribute `outputs` has the
        parameters of the network for class 0 and images that are not turned.

    Raises:
        ValueError: If an argument is not as described.

    Example:
        >>> network = PixelRNN((28, 28, 1), units=16, num_layers=7, num_classes=8)
        >>> model = OrientedModel(network)
        >>> model.compile("adam")
        >>> history = model.fit(images, epochs=10)
        >>> known = np.arange(28) >= 14  # The right half.
        >>> completed, orders = model.complete(
        ...     images[:4], np.tile(known, (28, 1)), seed=0, return_orders=True
        ... )  # Order 5: column by column, from the top right.

    References:
        Jain, Abbeel and Pathak, Locally Masked Convolution for Autoregressive Models,
        2020, https://arxiv.org/abs/2006.12486, trains eight orders in one network, with
        masks instead of flips.
    """

    presets = ORIENTED_MODEL

    def __init__(
        self,
        network: AutoregressiveModel,
        orders: Sequence[int] | None = None,
        condition: str = "label",
        seed: int | None = None,
        sampling_method: Method | None = None,
        dtype: Policy | None = None,
        **kwargs: Any,
    ):
        owner = type(self).__name__
        _check_network(network, owner)
        shape = check_image_shape(network.image_shape, f"the network of {owner}")
        orders = _checked_orders(orders, shape, owner)
        _check_classes(network, condition, len(orders), owner)
        images, *conditions = network.inputs
        conditions = {tensor.name: tensor for tensor in conditions}
        _check_maps(conditions, shape, owner)
        # Keras finds layers and inputs in this graph; `call` computes something else.
        order = keras.ops.zeros_like(images[:, 0, 0, 0], dtype="int32")
        params = network([images, *{**conditions, condition: order}.values()])
        del conditions[condition]
        ranges = {
            name: limits
            for name, limits in network.condition_ranges.items()
            if name != condition
        }
        if condition != "label":  # Else, the labels of the network are its orders.
            kwargs.setdefault("class_names", network.class_names)
        super().__init__(
            [images, *conditions.values()],
            params,
            network.likelihood,
            ranges or None,
            sampling_method or network.sampling_method,
            dtype=network.dtype_policy if dtype is None else dtype,
            **kwargs,
        )
        self.network = network
        self.orders = orders
        self.condition = condition
        self.seed = seed
        self._seed_generator = keras.random.SeedGenerator(seed)
        self._table = pixel_orders(shape[:2], orders)
        scheme = OrientedScheme(self, network.sampling_scheme, self._table)
        self._samplers = Samplers(scheme, self._layer_version)

    def call(self, inputs, training=None, mask=None):
        images, *conditions = inputs_of(inputs, self)
        images = tf.cast(images, self.inputs[0].dtype)
        if training:
            index = self._training_orders(images)
            return self._nats(images, conditions, index, training=True)
        return self._mixture_nats(images, conditions, tf.range(len(self.orders)))

    def _training_orders(self, images):
        """Return the index of the order of each image in a step of training."""
        count, num_orders = tf.shape(images)[0], len(self.orders)
        first = tf.random.stateless_uniform(
            (), next_seed(self._seed_generator), 0, num_orders, tf.int32, alg="philox"
        )
        place, _ = place_in_batch(count)
        return (first + place + tf.range(count)) % num_orders

    def _mixture_nats(self, images, conditions, indices):
        """Return `-log p(x)` of the mixture of some orders, `(batch,)`.

        Args:
            images: Float32 images.
            conditions: Those of this model, in order.
            indices: Index of each of the orders, int32 `(orders,)`.
        """

        def nats_of(index):
            index = tf.repeat(index, tf.shape(images)[0])
            return self._nats(images, conditions, index)

        # One order at a time needs the memory of one.
        nats = tf.map_fn(
            nats_of,
            indices,
            parallel_iterations=1,
            fn_output_signature=tf.TensorSpec((None,), tf.float32),
        )
        # Keras would add what layers passed to `add_loss`, which ended with the loop.
        forget_losses(self.network)
        num_orders = tf.cast(tf.shape(indices)[0], tf.float32)
        return tf.math.log(num_orders) - tf.reduce_logsumexp(-nats, axis=0)

    def _nats(self, images, conditions, index, training=False):
        """Return `-log p[o](x)`, `(batch,)`, given the index of each image's order."""
        images = turned(images, pixels_of(self._table, index))
        conditions = self.network_conditions(conditions, index)
        params = self.network([images, *conditions], training=training)
        return -self.likelihood.log_prob_of_images(params, images)

    def network_conditions(
        self, conditions: Sequence[tf.Tensor], index: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return the conditions of the network, for a graph.

        Args:
            conditions: Those of this model, in order. Maps of the size of the images
                are turned with them.
            index: Index in `orders` of the order of each image, int32 `(batch,)`.

        Returns:
            The network's inputs besides the images, in order, the index among them.
        """
        given = iter(conditions)
        found = []
        for tensor in self.network.inputs[1:]:
            if tensor.name == self.condition:
                found.append(tf.cast(index, tensor.dtype))
            elif _is_map(tensor, self.image_shape):
                found.append(turned(next(given), pixels_of(self._table, index)))
            else:
                found.append(next(given))
        return found

    def complete(
        self,
        images: ArrayLike,
        known: ArrayLike,
        *,
        seed: Seeds | None = None,
        num_candidates: int = 1,
        return_effective_sample_size: bool = False,
        return_orders: bool = False,
        temperature: float = 1.0,
        method: Method | None = None,
        jit_compile: bool = False,
        conditions: Conditions | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> Any:
        """Sample the unknown pixels of images, each in its best order.

        The order is the one in which the fewest known pixels follow the first unknown
        one, of several the first in `orders`. It depends on `known` alone.

        Args:
            images: `(num_images, height, width, colors)`, known pixels in the
                likelihood's own range; unknown ones are ignored.
            known: 1 or True at known pixels, else 0 or False,
                `(num_images, height, width)`, or `(height, width)` for all images.
            seed: Integer seed of the first image, with consecutive seeds for the next
                ones, or one integer per image. By default random.
            num_candidates: Number of completions to choose from, if known pixels follow
                an unknown one; see `AutoregressiveModel.complete`.
            return_effective_sample_size: Whether to return effective sample sizes too.
            return_orders: Whether to return the order of each image too.
            temperature: Number above 0 that divides the logits; values below 1 give
                likelier images.
            method: Sampler, which affects the speed but not the images, see `generate`.
            jit_compile: Whether to compile with XLA.
            conditions: Inputs of the model besides the images, with one element per
                image: an array for a single input, else a dict by input name.
            batch_size: Number of completions in a batch, counting every candidate; at
                least all candidates of one image.
            verbose: See `generate`.

        Returns:
            NumPy array of the shape of `images`, with known pixels unchanged. If more
            is asked for, a tuple of it and, in this sequence, of the effective sample
            sizes, float32 `(num_images,)`, and of the orders, int32 `(num_images,)`,
            numbers from `orders` that `log_prob` takes too.

        Raises:
            ValueError: If an argument is not as described, the model is not causal, or
                the incremental sampler does not support a layer.
            RuntimeError: If it is called in a `tf.function`.
        """
        drawn = self._completed(
            images,
            known,
            seed,
            num_candidates,
            temperature,
            method,
            jit_compile,
            conditions,
            batch_size,
            verbose,
        )
        asked = {
            "images": True,
            "effective_sample_size": return_effective_sample_size,
            "order": return_orders,
        }
        returned = tuple(drawn[name] for name, is_asked in asked.items() if is_asked)
        return returned if len(returned) > 1 else drawn["images"]

    def log_prob(
        self,
        images: Images,
        *,
        orders: Sequence[int] | int | None = None,
        batch_size: int = 64,
        verbose: Verbose = "auto",
    ) -> np.ndarray:
        """Return the exact log-probability of each image.

            log p(x) = log(1 / n * sum over n orders o of p[o](x))

        Args:
            images: Images in the likelihood's own range, as an array or a
                `tf.data.Dataset` of batches. A model with conditions takes a list or
                a dict of all its inputs.
            orders: The orders of the mixture, some of the model's, or one of them; by
                default all.
            batch_size: Images per batch, for arrays. One order is computed after the
                other.
            verbose: See `generate`.

        Returns:
            Nats, a NumPy float32 array of shape `(num_images,)`.

        Raises:
            ValueError: If there are no images, their shape or pixels do not fit, or the
                model has no such order.
            RuntimeError: If it is called in a `tf.function`.
        """
        chosen = self.orders if orders is None else tuple(np.atleast_1d(orders))
        if not chosen or {*chosen} - {*self.orders} or len({*chosen}) < len(chosen):
            raise ValueError(
                f"`orders` of {self.name}.log_prob must be some of {self.orders}, each "
                f"once. Received: orders={orders!r}"
            )
        indices = tf.constant([self.orders.index(order) for order in chosen])

        def log_prob(indices, images, *conditions):
            images = tf.cast(images, self.inputs[0].dtype)
            return -self._mixture_nats(images, conditions, indices)

        self.check_graph(self.image_shape)
        # The orders are an argument, so that others need no other graph.
        function = self._function_cache.compiled(
            "log_prob", log_prob, reduce_retracing=True
        )
        function = functools.partial(function, indices)
        return map_images(self, function, images, "log_prob", batch_size, verbose)

    def own_loss(self) -> keras.losses.Loss:
        return GivenNats()

    def own_metrics(self) -> list[keras.metrics.Metric]:
        num_dims = math.prod(self.image_shape)

        def bits(y_true, y_pred):
            return y_pred / (math.log(2) * num_dims)

        metric = keras.metrics.MeanMetricWrapper(bits, "bits_per_dim")
        set_direction(metric, "down")
        return [metric]

    def raster_models(self) -> Sequence[AutoregressiveModel]:
        return [self.network]

    def get_config(self) -> Config:
        return {
            **self.base_config(),
            "network": keras.saving.serialize_keras_object(self.network),
            "orders": self.orders,
            "condition": self.condition,
            "seed": self.seed,
        }

    @classmethod
    def from_config(
        cls, config: Config, custom_objects: dict[str, Any] | None = None
    ) -> "OrientedModel":
        network = keras.saving.deserialize_keras_object(
            config["network"], custom_objects=custom_objects
        )
        return cls(**{**config, "network": network})

    @classmethod
    def _of_settings(cls, settings: Config) -> "OrientedModel":
        network = settings.get("network")
        if not isinstance(network, str) or network not in _NETWORKS:
            raise ValueError(
                f"`network` of a preset of {cls.__name__} must be one of "
                f"{', '.join(_NETWORKS)}. To turn another model into one of several "
                f"orders, call {cls.__name__}(network). Received: network={network!r}"
            )
        others = {name: x for name, x in settings.items() if name != "network"}
        return oriented_model(_NETWORKS[network], **others)


def oriented_model(
    network: type[AutoregressiveModel],
    orders: Sequence[int] | None = None,
    seed: int | None = None,
    name: str | None = None,
    num_classes: int | dict[str, int] | None = None,
    **settings: Any,
) -> OrientedModel:
    """Return a model of several orders, with a new network for it.

    Args:
        network: Class of the network, such as `PixelRNN`.
        orders: See `OrientedModel`.
        seed: See `OrientedModel`.
        name: See `OrientedModel`.
        num_classes: As the network takes it, without the orders, which become the
            input "order".
        **settings: The other arguments of the network.
    """
    owner = OrientedModel.__name__
    shape = check_image_shape(settings["image_shape"], f"the network of {owner}")
    orders = _checked_orders(orders, shape, owner)
    classes = {"order": len(orders)}
    if isinstance(num_classes, dict):
        classes |= num_classes
    elif num_classes is not None:
        classes["label"] = num_classes
    if name is not None:
        settings["name"] = f"{name}_network"
    made = network(num_classes=classes, **settings)
    return OrientedModel(made, orders, condition="order", seed=seed, name=name)


def _check_network(network, owner):
    """Raise unless a network samples in raster order."""
    is_model = isinstance(network, AutoregressiveModel)
    if not is_model or type(network.sampling_scheme) is not SamplingScheme:
        raise ValueError(
            f"`network` of {owner} must be an AutoregressiveModel that generates "
            f"all pixels in raster order, such as PixelRNN or PixelCNN. Received: "
            f"{type(network).__name__}"
        )


def _checked_orders(orders, image_shape, owner):
    """Return the orders as a tuple of integers; all of an image shape for None."""
    height, width, _ = image_shape
    possible = range(NUM_ORDERS if height == width else NUM_FLIPS)
    if orders is None:
        return tuple(possible)
    found = tuple(orders) if np.iterable(orders) else ()
    if not found or {*found} - {*possible} or len({*found}) < len(found):
        raise ValueError(
            f"`orders` of {owner} must be some of the numbers from 0 to "
            f"{possible[-1]}, each once; those from {NUM_FLIPS} on go column by "
            f"column, which only square images can. Received: orders={orders!r}, "
            f"images of {height}x{width} pixels"
        )
    return tuple(map(int, found))


def _check_classes(network, condition, num_orders, owner):
    """Raise unless a condition of the network has a class for each order."""
    limits = network.condition_ranges.get(condition, ())
    shapes = {tensor.name: tuple(tensor.shape) for tensor in network.inputs[1:]}
    fits = tuple(limits) == (0, num_orders - 1)
    if not fits or shapes[condition] != (None,):
        received = (
            f"`condition_ranges` {network.condition_ranges} and conditions of shape "
            f"{shapes}"
        )
        raise ValueError(
            f"The network of {owner} must have an input '{condition}' of {num_orders} "
            f"classes, one for each order: make it with num_classes={num_orders}, or "
            f"name another input with `condition`. Received: a network with {received}"
        )


def _check_maps(conditions, image_shape, owner):
    """Raise if a condition map has another size than the images or 1×1."""
    for tensor in conditions.values():
        is_any = len(tensor.shape) != 4 or tuple(tensor.shape[1:3]) == (1, 1)
        if not is_any and not _is_map(tensor, image_shape):
            raise ValueError(
                f"A condition map of {owner} is turned with the images, so it must "
                f"have their size, {image_shape[:2]}, or (1, 1). Received: "
                f"'{tensor.name}' of shape {tuple(tensor.shape)}"
            )


def _is_map(tensor, image_shape):
    """Return whether a condition is a map of the size of the images."""
    shape = tuple(tensor.shape)
    return len(shape) == 4 and shape[1:3] == tuple(image_shape[:2]) != (1, 1)
