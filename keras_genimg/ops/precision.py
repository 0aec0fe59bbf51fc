"""Models whose layers do not compute in full precision."""

_HALF_PRECISION = ("bfloat16", "float16", "mixed_bfloat16", "mixed_float16")


def is_half_precision(dtype):
    """Return whether a dtype or the name of a policy is in half precision."""
    return dtype in _HALF_PRECISION


def has_half_precision(model):
    """Return whether a layer of a model computes in half precision."""
    return any(is_half_precision(x.compute_dtype) for x in model._flatten_layers())


def is_quantized(model):
    """Return whether a layer of a model is quantized."""
    return any(getattr(x, "quantization_mode", None) for x in model._flatten_layers())
