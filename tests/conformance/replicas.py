"""Train each layer and three models on one and on two CPU devices; run by a test.

Layers and models that draw noise do not end with the same weights. For these, the test
checks that both devices train and draw different noise. Layers are trained side by side
in one eager model, since tracing takes most of the time. Models are trained in graphs.
"""

import keras
import numpy as np
import tensorflow as tf

from tests.conformance.registry import LAYERS, MODELS

# With labels, with a layer that draws noise, and with a loop of steps.
REPLICATED = ("PixelCNN_classes", "VAE", "DRAW")


def model_of_layers():
    """Return a model with an output for each layer, and its parts by layer name."""
    parts = {name: case.model() for name, case in LAYERS.items()}
    inputs, outputs = {}, {}
    for name, part in parts.items():
        own = {
            key: keras.Input(shape, name=f"{name}_{key}")
            for key, shape in LAYERS[name].inputs.items()
        }
        inputs.update({tensor.name: tensor for tensor in own.values()})
        outputs[name] = part(own)
    model = keras.Model(inputs, outputs)
    losses = {name: "mse" for name in outputs}
    model.compile(keras.optimizers.SGD(0.01), losses, run_eagerly=True)
    return model, parts


def train_layers(strategy):
    """Return the weights by layer name, and the losses."""
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model, parts = model_of_layers()
    x = {
        f"{name}_{key}": value
        for name, case in LAYERS.items()
        for key, value in case.example(8).items()
    }
    shapes = model.compute_output_shape({key: v.shape for key, v in x.items()})
    y = {name: np.ones(shape) for name, shape in shapes.items()}
    losses = fit(model, x, y)
    return {name: part.get_weights() for name, part in parts.items()}, losses


def train_model(strategy, case, eager=False):
    """Return the weights and the losses."""
    keras.utils.set_random_seed(3)
    with strategy.scope():
        model = case.make()
        model.compile(keras.optimizers.SGD(0.01), run_eagerly=eager)
    losses = fit(model, case.example(8))
    return model.get_weights(), losses


def fit(model, x, y=None):
    history = model.fit(x, y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    return history.history


def check_same(name, weights, others):
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5, err_msg=name)
    print(name, "same weights")


def check_other_noise(name, strategy, make, example, weights):
    for value in weights:
        assert np.isfinite(value).all(), name
    example = tf.constant(example, tf.float32)
    with strategy.scope():
        layer = make()
        layer(example)  # Builds it.
    # Both devices get the same images, so that only noise can differ.
    outputs = strategy.run(tf.function(layer, autograph=False), (example,))
    first, second = strategy.experimental_local_results(outputs)
    assert np.abs(first - second).max() > 1e-4, name
    print(name, "other noise")


def main():
    device = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(
        device, [tf.config.LogicalDeviceConfiguration()] * 2
    )
    one = tf.distribute.OneDeviceStrategy("/cpu:0")
    two = tf.distribute.MirroredStrategy(["/cpu:0", "/cpu:1"])

    weights, losses = train_layers(one)
    others, other_losses = train_layers(two)
    for name, case in LAYERS.items():
        if case.random:
            example = next(iter(case.example(4).values()))
            check_other_noise(name, two, case.make, example, others[name])
            continue
        key = f"{name}_loss"
        np.testing.assert_allclose(losses[key], other_losses[key], 1e-5, err_msg=name)
        check_same(name, weights[name], others[name])

    for name in REPLICATED:
        case = MODELS[name]
        others, other_losses = train_model(two, case)
        if case.random:
            check_other_noise(name, two, case.make, case.example(4), others)
            continue
        weights, losses = train_model(one, case, eager=True)
        np.testing.assert_allclose(losses["loss"], other_losses["loss"], rtol=1e-5)
        check_same(name, weights, others)


if __name__ == "__main__":
    main()
