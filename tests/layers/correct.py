"""Check of a causal layer: its numbers, and what it sees."""

import numpy as np

from tests.causality import assert_sees_exactly


def assert_equals_and_sees(layer, inputs, expected, field):
    """Check that a layer equals the reference, and sees its field of the images.

    The images are the first of `inputs`. While they change, the others do not.
    """
    np.testing.assert_allclose(layer(*inputs), expected, rtol=1e-5, atol=1e-6)
    images, *others = inputs

    def outputs(images):
        return layer(images, *(np.repeat(x[:1], len(images), 0) for x in others))

    assert_sees_exactly(outputs, images, field)
