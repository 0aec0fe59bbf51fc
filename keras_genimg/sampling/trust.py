"""Detection of layers whose class or methods have been replaced."""

import types

# Packages whose classes and functions the sampler knows.
_KNOWN_PACKAGES = ("keras", "keras_genimg", "tensorflow", "builtins")

# Attributes that a subclass may override: they configure, describe or store a layer.
_COMPUTES_NOTHING = set(
    """
    __annotations__ __class_getitem__ __dict__ __doc__ __firstlineno__ __init__
    __init_subclass__ __module__ __new__ __orig_bases__ __parameters__ __qualname__
    __repr__ __static_attributes__ __weakref__ build build_from_config composite
    compute_output_shape compute_output_spec from_config get_build_config get_config
    load_assets load_own_variables pointwise quantize save_assets save_own_variables
    """.split()
)


def is_known(thing):
    """Return whether a class or function is from Keras, TensorFlow or this library."""
    module = getattr(thing, "__module__", None) or "builtins"
    return module.partition(".")[0] in _KNOWN_PACKAGES


def overrides(operation):
    """Return the attributes of known classes that other code has overridden.

    A subclass, a mixin, an instance (`layer.call = f`) or a patch of a known class may
    override them. Attributes that compute nothing, such as `get_config`, do not count.
    An operation without overrides computes the same as its known class.

    Args:
        operation: A Keras layer or operation.

    Returns:
        Set of names.
    """
    replaced, foreign, known = set(), set(), set()
    for kind in type(operation).__mro__:
        for name, value in vars(kind).items():
            if name in _COMPUTES_NOTHING or name in known:
                continue
            if not is_known(kind):
                foreign.add(name)
                continue
            patched = isinstance(value, types.FunctionType) and not is_known(value)
            if name in foreign or patched:
                replaced.add(name)
            known.add(name)
    for name, value in vars(operation).items():
        if name in known and callable(value):
            replaced.add(name)
    return replaced
