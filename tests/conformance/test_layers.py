import keras
import numpy as np
import pytest

from tests.conformance.registry import LAYERS
from tests.seldom import weekly_but

CASES = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


@CASES
def test_build_alone_creates_all_weights(case):
    example = case.example()
    built, called = case.make(), case.make()
    built.build(*((None, *shape) for shape in case.inputs.values()))
    called(*example.values())
    assert [(w.shape, w.path.split("/", 1)[1]) for w in built.weights] == [
        (w.shape, w.path.split("/", 1)[1]) for w in called.weights
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
