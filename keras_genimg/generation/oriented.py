"""How an `OrientedModel` generates images: by its network, on turned images."""

from collections.abc import Sequence
from typing import Protocol

import tensorflow as tf

from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.generation.scheme import (
    NO_INSPECTION,
    Inspection,
    SampledModel,
    SamplingScheme,
)
from keras_genimg.model_types import PixelModel
from keras_genimg.ops.orientations import (
    fewest_later_known,
    pixels_of,
    places_of,
    turned,
)
from keras_genimg.ops.uniforms import ORDER, seeded_uniforms
from keras_genimg.types import Array


class ModelOfOrders(SampledModel, Protocol):
    """A model of images in several orders, an `OrientedModel`.

    Attributes:
        network: The model of turned images.
        orders: The orders, numbers from 0 to 7.
    """

    network: SampledModel
    orders: tuple[int, ...]

    def network_conditions(
        self, conditions: Sequence[tf.Tensor], index: tf.Tensor
    ) -> list[tf.Tensor]:
        """Return the conditions of the network, for a graph.

        Args:
            conditions: Those of the model, in order.
            index: Index of the order of each image, int32 `(batch,)`.
        """
        ...


class OrientedScheme(SamplingScheme):
    """Scheme in which each image has an order of its own.

    The seed of a new image decides its order. A completion has the order in which
    the fewest known pixels follow the first unknown one.

    Args:
        model: An `OrientedModel`.
        network: The `SamplingScheme` of its network, which generates turned images in
            raster order.
        table: The pixels in each order, see `pixel_orders`.
    """

    model: ModelOfOrders

    def __init__(self, model: ModelOfOrders, network: SamplingScheme, table: Array):
        super().__init__(model)
        self._network = network
        self._table = table

    def generate(
        self,
        key: SamplerKey,
        seeds: tf.Tensor,
        temperature: float | tf.Tensor,
        *conditions: tf.Tensor,
        inspection: Inspection = NO_INSPECTION,
    ) -> tf.Tensor:
        uniforms = seeded_uniforms(seeds, (), (ORDER, 0))
        index = tf.cast(uniforms * len(self.model.orders), tf.int32)
        given = self.model.network_conditions(conditions, index)
        images = self._network.generate(
            key, seeds, temperature, *given, inspection=inspection
        )
        return turned(images, places_of(self._table, index))

    def complete(
        self,
        key: SamplerKey,
        seeds: tf.Tensor,
        temperature: float | tf.Tensor,
        images: tf.Tensor,
        known: tf.Tensor,
        *conditions: tf.Tensor,
        inspection: Inspection = NO_INSPECTION,
    ) -> dict[str, tf.Tensor]:
        index = fewest_later_known(known, self._table)
        images, known = (
            turned(maps, pixels_of(self._table, index)) for maps in (images, known)
        )
        given = self.model.network_conditions(conditions, index)
        completed = self._network.complete(
            key, seeds, temperature, images, known, *given, inspection=inspection
        )
        images = turned(completed["images"], places_of(self._table, index))
        order = tf.gather(self.model.orders, index)
        return {**completed, "images": images, "order": order}

    def networks(
        self, images: tf.Tensor, conditions: Sequence[tf.Tensor]
    ) -> list[tuple[PixelModel, tf.Tensor, Sequence[tf.Tensor]]]:
        """Return the network with the images in all orders, one after the other."""
        model, num_orders = self.model, len(self.model.orders)
        index = tf.repeat(tf.range(num_orders), tf.shape(images)[0])
        images, *conditions = (
            tf.tile(values, (num_orders, *[1] * (len(values.shape) - 1)))
            for values in (images, *conditions)
        )
        images = turned(images, pixels_of(self._table, index))
        return [(model.network, images, model.network_conditions(conditions, index))]
