import json

import keras
import numpy as np
import pytest

from tests.conformance.registry import LAYERS
from tests.seldom import weekly_but

CASES = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


@CASES
def test_config_round_trips(case):
    layer = case.make(name="layer")
    config = layer.get_config()
    again = type(layer).from_config(config)
    assert json.dumps(again.get_config()) == json.dumps(config)
    serialized = keras.saving.serialize_keras_object(layer)
    revived = keras.saving.deserialize_keras_object(json.loads(json.dumps(serialized)))
    assert json.dumps(revived.get_config()) == json.dumps(config)
    assert dir(revived) == dir(layer)


@CASES
def test_build_alone_creates_all_weights(case):
    example = case.example()
    built, called = case.make(), case.make()
    built.build(*((None, *shape) for shape in case.inputs.values()))
    called(*example.values())
    assert [w.shape for w in built.weights] == [w.shape for w in called.weights]
    assert [w.path.split("/", 1)[1] for w in built.weights] == [
        w.path.split("/", 1)[1] for w in called.weights
    ]


@CASES
@pytest.mark.parametrize("policy", ["float32", "mixed_float16"])
def test_symbolic_equals_eager(case, policy):
    layer = case.make(dtype=policy)
    symbols = layer(*case.symbolic())
    outputs = layer(*case.example().values())
    shapes = layer.compute_output_shape(
        *((4, *shape) for shape in case.inputs.values())
    )
    if not isinstance(outputs, tuple):
        symbols, outputs, shapes = (symbols,), (outputs,), (shapes,)
    compute = keras.dtype_policies.get(policy).compute_dtype
    first_known = 3 if case.any_size else 1
    dtypes = [case.dtype or compute] + ["float32"] * (len(outputs) - 1)
    assert [output.dtype for output in outputs] == dtypes
    assert [symbol.dtype for symbol in symbols] == dtypes
    for output, symbol, shape in zip(outputs, symbols, shapes, strict=True):
        assert len(symbol.shape) == len(output.shape)
        assert symbol.shape[first_known:] == output.shape[first_known:]
        assert tuple(shape) == tuple(output.shape)
        assert np.isfinite(np.asarray(output, "float32")).all()
    assert all(weight.dtype == "float32" for weight in layer.weights)


@CASES
def test_half_precision_is_close_to_full(case):
    keras.utils.set_random_seed(0)  # Steep weights could make large errors.
    full, half = case.make(), case.make(dtype="mixed_bfloat16")
    example = case.example().values()
    full(*example), half(*example)
    half.set_weights(full.get_weights())
    expected = keras.tree.flatten(full(*example))
    outputs = keras.tree.flatten(half(*example))
    for output, full_output in zip(outputs, expected, strict=True):
        error = np.asarray(output, "float32") - np.asarray(full_output)
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
    keras.utils.set_random_seed(0)  # Steep weights could make a step too large.
    case = LAYERS[name]
    model = case.model()
    model.compile("sgd", "mse", jit_compile=True)
    example = case.example()
    target = np.zeros(model(example).shape)
    if case.random:
        results = model.train_on_batch(example, target, return_dict=True)
        assert set(results) == {"loss", "kl"}
        assert np.isfinite(list(results.values())).all()
        return
    before = float(np.mean(np.square(model(example))))
    np.testing.assert_allclose(model.train_on_batch(example, target), before, rtol=1e-4)
    assert float(np.mean(np.square(model(example)))) < before
