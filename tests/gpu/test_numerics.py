"""A GPU computes what the CPU computes."""

import pytest
import tensorflow as tf

from keras_genimg.causality import first_leak
from keras_genimg.causality.random_weights import randomize
from keras_genimg.models import PixelCNN
from tests.conformance.registry import LAYERS, MODELS
from tests.gpu.placement import CPU, assert_close, assert_on, on, random_twins
from tests.layers.graph_ops import ops_of


def outputs_and_gradients(case, device):
    """Return a layer's outputs, and the gradients of its inputs and weights."""
    with on(device):
        layer = case.make()
        layer.build(*((None, *shape) for shape in case.inputs.values()))
        randomize(layer, seed=1)
        inputs = [tf.constant(value) for value in case.example().values()]
        weights = [weight.value for weight in layer.trainable_weights]
        assert_on(device, [inputs, weights])

        @tf.function(autograph=False)
        def run(*inputs):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                outputs = tf.nest.flatten(layer(*inputs))
                total = tf.add_n([tf.reduce_sum(tf.sin(each)) for each in outputs])
            return outputs, tape.gradient(
                total, [*inputs, *weights], unconnected_gradients="zero"
            )

        results = run(*inputs)
    assert_on(device, results)
    return results


@pytest.mark.parametrize("name", LAYERS)
def test_layers_and_their_gradients(name, device):
    """Layers that draw noise draw the same."""
    results = outputs_and_gradients(LAYERS[name], device)
    assert_close(results, outputs_and_gradients(LAYERS[name], CPU))


def test_a_gpu_has_one_segment_by_default(device):
    expected = 4 if device == CPU else 1
    assert ops_of(None) == ops_of(expected) != ops_of(5 - expected)


@pytest.mark.parametrize("name", MODELS)
def test_log_probabilities(name, device):
    case = MODELS[name]
    options = {"num_samples": 3, "seed": 5} if case.random else {}
    model, twin = random_twins(case)
    values = model.log_prob(case.example(), **options)
    with on(CPU):
        assert_close(values, twin.log_prob(case.example(), **options))


def test_causal_models_pass_the_probe(device):
    """Convolutions of a GPU may let rounding reach earlier pixels."""
    model = PixelCNN((16, 16, 1), 32, 3)
    randomize(model)
    assert first_leak(model) is None
