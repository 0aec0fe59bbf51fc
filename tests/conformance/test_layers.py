from typing import NamedTuple

import keras
import numpy as np
import pytest

from tests.conformance.registry import LAYERS, LayerCase
from tests.seldom import weekly_but

POLICIES = ["float32", "mixed_bfloat16", "mixed_float16"]


class Called(NamedTuple):
    """Layers of one kind with the same weights, and what they return."""

    case: LayerCase
    policy: str
    full: keras.Layer  # In float32; the others have the policy.
    layer: keras.Layer  # Built by a call.
    built: keras.Layer  # Built by `build`, for the same shapes.
    expected: list  # Outputs of `full`.
    outputs: list  # Outputs of `layer`.
    symbols: list  # Outputs of `layer` for symbolic inputs.


def listed(outputs):
    return list(outputs) if isinstance(outputs, tuple) else [outputs]


@pytest.fixture(scope="module", params=POLICIES)
def policy(request):
    return request.param


@pytest.fixture(scope="module", params=LAYERS)
def called(policy, request):
    case = LAYERS[request.param]
    keras.utils.set_random_seed(0)  # Steep weights could make large errors.
    example = case.example().values()
    full, layer, built = case.make(), *(case.make(dtype=policy) for _ in range(2))
    expected = listed(full(*example))
    symbols = listed(layer(*case.symbolic()))
    layer.set_weights(full.get_weights())
    built.build(*((None, *shape) for shape in case.inputs.values()))
    outputs = listed(layer(*example))
    return Called(case, policy, full, layer, built, expected, outputs, symbols)


def weights_of(layer):
    return [(weight.shape, weight.path.split("/", 1)[1]) for weight in layer.weights]


def test_weights_do_not_depend_on_how_a_layer_is_built(called):
    assert weights_of(called.built) == weights_of(called.layer)
    assert weights_of(called.built) == weights_of(called.full)


def test_weights_are_float32(called):
    assert all(weight.dtype == "float32" for weight in called.built.weights)


def test_computed_shapes_are_those_of_the_outputs(called):
    given = ((4, *shape) for shape in called.case.inputs.values())
    shapes = called.built.compute_output_shape(*given)
    shapes = shapes if isinstance(shapes[0], tuple) else [shapes]
    assert list(shapes) == [tuple(output.shape) for output in called.outputs]


def test_symbols_know_the_sizes_that_the_inputs_have(called):
    first_known = 3 if called.case.any_size else 1
    for symbol, output in zip(called.symbols, called.outputs, strict=True):
        assert len(symbol.shape) == len(output.shape)
        assert symbol.shape[first_known:] == output.shape[first_known:]


def test_outputs_and_symbols_have_the_dtypes_of_the_policy(called):
    compute = keras.dtype_policies.get(called.policy).compute_dtype
    dtypes = [called.case.dtype or compute]
    dtypes += ["float32"] * (len(called.outputs) - 1)
    assert [output.dtype for output in called.outputs] == dtypes
    assert [symbol.dtype for symbol in called.symbols] == dtypes


def test_outputs_are_close_to_those_in_float32(called):
    for output, expected in zip(called.outputs, called.expected, strict=True):
        error = np.asarray(output, "float32") - np.asarray(expected)
        assert np.abs(error).max() < 0.1


@pytest.mark.parametrize("name", [name for name in LAYERS if "_condition" in name])
def test_a_condition_without_weights_is_refused(name):
    *inputs, condition = LAYERS[name].example().values()
    layer = LAYERS[name].make()
    layer(*inputs)
    with pytest.raises(ValueError, match="built without `condition`"):
        layer(*inputs, condition)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", weekly_but(LAYERS, *(name for name in LAYERS if "_condition" not in name))
)
def test_trains_under_xla(name):
    case, results = LAYERS[name], []
    model, example = case.model(), case.example()
    start, target = model.get_weights(), np.zeros(model(example).shape)
    for options in ({"jit_compile": True}, {"run_eagerly": True}):
        model.set_weights(start)
        model.compile("sgd", "mse", **options)
        logs = model.train_on_batch(example, target, return_dict=True)
        assert set(logs) == ({"loss", "kl"} if case.random else {"loss"})
        results.append([*logs.values(), *model.get_weights()])
    for compiled, eager in zip(*results, strict=True):
        assert np.isfinite(compiled).all()
        if not case.random:
            np.testing.assert_allclose(compiled, eager, rtol=1e-4, atol=1e-5)
