"""How an `OrientedModel` generates images: by its network, on turned images."""

import tensorflow as tf

from keras_genimg.generation.scheme import NO_INSPECTION, SamplingScheme
from keras_genimg.ops.orientations import fewest_later_known, turned
from keras_genimg.ops.uniforms import ORDER, seeded_uniforms


class OrientedScheme(SamplingScheme):
    """Scheme in which each image has an order of its own.

    The seed of a new image decides its order. A completion has the order in which
    the fewest known pixels follow the first unknown one.

    Args:
        model: An `OrientedModel`.
        network: The `SamplingScheme` of its network, which generates turned images in
            raster order.
    """

    def __init__(self, model, network: SamplingScheme):
        super().__init__(model)
        self._network = network

    def generate(self, key, seeds, temperature, *conditions, inspection=NO_INSPECTION):
        model = self.model
        uniforms = seeded_uniforms(seeds, (), (ORDER, 0))
        index = tf.cast(uniforms * len(model.orders), tf.int32)
        conditions = model._network_conditions(conditions, index)
        images = self._network.generate(
            key, seeds, temperature, *conditions, inspection=inspection
        )
        return turned(images, model._places(index))

    def complete(
        self,
        key,
        seeds,
        temperature,
        images,
        known,
        *conditions,
        inspection=NO_INSPECTION,
    ):
        model = self.model
        index = fewest_later_known(known, model._table)
        images, known = (turned(maps, model._pixels(index)) for maps in (images, known))
        conditions = model._network_conditions(conditions, index)
        given = seeds, temperature, images, known, *conditions
        images, sizes = self._network.complete(key, *given, inspection=inspection)
        return turned(images, model._places(index)), sizes

    def networks(self, images, conditions):
        """Return the network with the images in all orders, one after the other."""
        model, num_orders = self.model, len(self.model.orders)
        index = tf.repeat(tf.range(num_orders), tf.shape(images)[0])
        images, *conditions = (
            tf.tile(values, (num_orders, *[1] * (len(values.shape) - 1)))
            for values in (images, *conditions)
        )
        images = turned(images, model._pixels(index))
        return [(model.network, images, model._network_conditions(conditions, index))]
