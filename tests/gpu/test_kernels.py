"""Every operation of training and sampling has a kernel for GPUs.

Needs no GPU: TensorFlow's wheel for Linux registers the kernels for GPUs everywhere.
If an operation has none, TensorFlow runs it on the CPU, and copies its inputs and
outputs at each step.
"""

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.generation.sampler_key import SamplerKey
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import PixelCNN
from tests.conformance.registry import MODELS as CASES
from tests.gpu.kernels import XLA_GPU, graph_of, nodes_of, without_kernel
from tests.seldom import weekly_but

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not tf.test.is_built_with_cuda(),
        reason="no kernels for GPUs: this TensorFlow was built without CUDA",
    ),
]

# Operations without a kernel that are right to run on the CPU.
ALLOWED = {
    # Text of assertions, here that of TensorFlow's `softmax_cross_entropy`. It is only
    # read on the CPU.
    ("Const", ("dtype=string",)),
    # Keras' loss scaling looks for infinities in the gradient of an embedding, here of
    # labels: a few booleans a step.
    ("TensorScatterUpdate", ("T=bool", "Tindices=int32")),
}

# One model for each kind of layer. Colors are drawn otherwise than gray pixels.
NAMES = ["PixelCNN", "PixelCNN_classes", "GatedPixelCNN", "MultiScalePixelRNN"]
NAMES += ["PixelRNN_diagonal", "PixelRNN_row", "VAE_full_normal", "DRAW"]
MODELS = {name: CASES[name].make for name in NAMES}
MODELS["PixelCNN_mixture"] = lambda: PixelCNN(
    (3, 4, 3), 4, 1, head_filters=4, likelihood=DiscretizedLogisticMixture(4, 2)
)
POLICIES = ("float32", "mixed_float16", "mixed_bfloat16")


def training_graph(model):
    """Return the graph of a step that `fit` runs, after the batch has been read."""
    model.compile("adam")
    model.make_train_function()  # It makes the variables of the step.
    specs = {
        tensor.name: tf.TensorSpec((2, *tensor.shape[1:]), tensor.dtype)
        for tensor in model.inputs
    }
    x = specs if len(specs) > 1 else next(iter(specs.values()))
    return graph_of(model.train_step, (x,))


def sampler_graph(model, method="incremental", **options):
    key = SamplerKey(method, model.image_shape, False, "large", **options)
    return model._samplers.sampler(key)._function.get_concrete_function().graph


def assert_only_allowed(graph):
    assert len(nodes_of(graph)) > 100
    assert without_kernel(graph) <= ALLOWED


# In half precision, most of a step still computes in float32.
@pytest.mark.parametrize("policy", weekly_but(POLICIES, "mixed_float16"))
@pytest.mark.parametrize("name", MODELS)
def test_training_step(name, policy):
    keras.mixed_precision.set_global_policy(policy)
    graph = training_graph(MODELS[name]())
    assert_only_allowed(graph)
    # Keras compiles a step with XLA where it sees a GPU, unless told otherwise.
    tf.function(lambda x: x + 1, jit_compile=True)(tf.zeros(()))
    missing = without_kernel(graph, XLA_GPU)
    assert {op for op, _ in missing} == {"Placeholder"}, missing


@pytest.mark.parametrize("policy", weekly_but(POLICIES, "mixed_float16"))
@pytest.mark.parametrize("name", [name for name in MODELS if "Pixel" in name])
def test_incremental_sampler(name, policy):
    keras.mixed_precision.set_global_policy(policy)
    assert_only_allowed(sampler_graph(MODELS[name]()))


# They add little to the forward pass, which the training steps contain.
@pytest.mark.parametrize(
    "options",
    [{"method": "fixed_point"}, {"method": "ancestral"}, {"num_candidates": 2}],
    ids=str,
)
def test_other_samplers(options):
    assert_only_allowed(sampler_graph(MODELS["PixelCNN_classes"](), **options))


@pytest.mark.parametrize("name", ["VAE_full_normal", "DRAW"])
def test_latent_models_draw_and_evaluate(name):
    model = MODELS[name]()
    model.generate(1, sample_pixels=True)
    model.log_prob(np.zeros((1, *model.image_shape)), num_samples=1)
    functions = model._function_cache.entries().values()
    assert len(functions) == 2
    for function in functions:
        assert_only_allowed(function.get_concrete_function().graph)


def test_ops_and_types_that_only_cpus_have_are_found():
    """Also in the body of a loop, which is a function of the graph."""

    def planted(x):
        def body(i, x):
            length = tf.strings.length(tf.strings.format("{}", x))
            return i + 1, x + tf.cast(length, tf.float32)

        return tf.while_loop(lambda i, _: i < 3, body, (0, x))

    found = without_kernel(graph_of(planted, tf.TensorSpec((4,))))
    assert {op for op, _ in found} == {"StringFormat", "StringLength"}
    assert not found & ALLOWED
    found = without_kernel(graph_of(tf.argmin, tf.TensorSpec((4,), tf.int32)))
    assert found == {("ArgMin", ("T=int32", "Tidx=int32", "output_type=int64"))}
    assert not without_kernel(graph_of(tf.argmin, tf.TensorSpec((4,), tf.float32)))
