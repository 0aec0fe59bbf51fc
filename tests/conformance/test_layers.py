import keras
import numpy as np
import pytest

from tests.conformance.registry import LAYERS
from tests.seldom import weekly_but

CASES = pytest.mark.parametrize("case", LAYERS.values(), ids=LAYERS)


def weights_of(layer):
    return [(weight.shape, weight.path.split("/", 1)[1]) for weight in layer.weights]


@CASES
@pytest.mark.parametrize("policy", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_symbols_and_built_layers_equal_eager_ones_in_all_precisions(case, policy):
    keras.utils.set_random_seed(0)  # Steep weights could make large errors.
    example = case.example().values()
    full, layer = case.make(), case.make(dtype=policy)
    expected = keras.tree.flatten(full(*example))
    symbols = keras.tree.flatten(layer(*case.symbolic()))
    layer.set_weights(full.get_weights())
    outputs = layer(*example)
    built = case.make(dtype=policy)
    built.build(*((None, *shape) for shape in case.inputs.values()))
    assert weights_of(built) == weights_of(layer) == weights_of(full)
    assert all(weight.dtype == "float32" for weight in built.weights)
    shapes = built.compute_output_shape(
        *((4, *shape) for shape in case.inputs.values())
    )
    if not isinstance(outputs, tuple):
        outputs, shapes = (outputs,), (shapes,)
    compute = keras.dtype_policies.get(policy).compute_dtype
    first_known = 3 if case.any_size else 1
    dtypes = [case.dtype or compute] + ["float32"] * (len(outputs) - 1)
    assert [output.dtype for output in outputs] == dtypes
    assert [symbol.dtype for symbol in symbols] == dtypes
    every = zip(outputs, symbols, shapes, expected, strict=True)
    for output, symbol, shape, full_output in every:
        assert len(symbol.shape) == len(output.shape)
        assert symbol.shape[first_known:] == output.shape[first_known:]
        assert tuple(shape) == tuple(output.shape)
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
