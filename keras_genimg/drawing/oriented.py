"""How an `OrientedModel` draws: by its network, on turned images."""

import tensorflow as tf

from keras_genimg.drawing.drawer import Drawer
from keras_genimg.ops.orientations import fewest_later_known, turned
from keras_genimg.ops.uniforms import ORDER, seeded_uniforms


class OrientedDrawer(Drawer):
    """Draws each image in an order of its own.

    A new image has the order that its seed draws. A completion has the order in which
    the fewest known pixels follow the first unknown one.

    Args:
        model: An `OrientedModel`.
    """

    def from_seeds(
        self, method, image_shape, jit_compile=False, num_candidates=None, **options
    ):
        model = self._model
        # The network draws turned images in raster order.
        draw = model.network._drawer.from_seeds(
            method, image_shape, jit_compile, num_candidates, **options
        )
        num_orders = len(model.orders)

        def sample(seeds, temperature, *conditions):
            uniforms = seeded_uniforms(seeds, (), (ORDER, 0))
            index = tf.cast(uniforms * num_orders, tf.int32)
            conditions = model._network_conditions(conditions, index)
            images = draw(seeds, temperature, *conditions)
            return turned(images, model._places(index))

        def complete(seeds, temperature, images, known, *conditions):
            index = fewest_later_known(known, model._table)
            images, known = (
                turned(maps, model._pixels(index)) for maps in (images, known)
            )
            conditions = model._network_conditions(conditions, index)
            images, sizes = draw(seeds, temperature, images, known, *conditions)
            return turned(images, model._places(index)), sizes

        return sample if num_candidates is None else complete

    def networks(self, images, conditions):
        """Return the network with the images in all orders, one after the other."""
        model, num_orders = self._model, len(self._model.orders)
        index = tf.repeat(tf.range(num_orders), tf.shape(images)[0])
        images, *conditions = (
            tf.tile(values, (num_orders, *[1] * (len(values.shape) - 1)))
            for values in (images, *conditions)
        )
        images = turned(images, model._pixels(index))
        return [(model.network, images, model._network_conditions(conditions, index))]
