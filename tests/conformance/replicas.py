"""Trains each layer and model on one and on two CPU devices; run by a test.

Layers and models that draw noise do not end with the same weights. Of them it is tested
that the two devices train, and draw other noise.
"""

import keras
import numpy as np
import tensorflow as tf

from tests.conformance.registry import LAYERS, MODELS


def layer_model(case):
    model = case.model()
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def generative_model(case):
    model = case.make()
    model.compile(keras.optimizers.SGD(0.01))
    return model


def train(strategy, make, case):
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = make(case)
    x = case.example(8)
    y = None
    if make is layer_model:
        y = np.ones(model.compute_output_shape({k: v.shape for k, v in x.items()}))
    history = model.fit(x, y, batch_size=4, epochs=2, shuffle=False, verbose=0)
    return model.get_weights(), history.history["loss"]


def train_with_other_noise(strategy, make, case):
    weights, losses = train(strategy, make, case)
    for value in [*weights, losses]:
        assert np.isfinite(value).all()
    with strategy.scope():
        if make is layer_model:
            layer = case.make()
            example = tf.constant(next(iter(case.example(4).values())))
        else:
            layer, example = case.make(), tf.constant(case.example(4), tf.float32)
        layer(example)  # Builds it.
    # The same images on both, so that only noise can make a difference.
    outputs = strategy.run(tf.function(layer, autograph=False), (example,))
    first, second = strategy.experimental_local_results(outputs)
    assert np.abs(first - second).max() > 1e-4, make


def main():
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        device, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])
    cases = [(name, layer_model, case) for name, case in LAYERS.items()]
    cases += [(name, generative_model, case) for name, case in MODELS.items()]
    for name, make, case in cases:
        if case.random:
            train_with_other_noise(two, make, case)
            print(name, "other noise")
            continue
        weights, losses = train(one, make, case)
        others, other_losses = train(two, make, case)
        np.testing.assert_allclose(losses, other_losses, rtol=1e-5, err_msg=name)
        for a, b in zip(weights, others, strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
        print(name, "same weights")


if __name__ == "__main__":
    main()
