"""Check of the names of a model's constructor arguments."""

import difflib
import inspect

# A functional `keras.Model` swallows every other keyword argument.
KERAS_ARGUMENTS = ("name", "trainable", "dtype")


def check_constructor_arguments(cls, received):
    """Raise if a constructor received unknown arguments.

    Args:
        cls: Class of the model.
        received: Dict of the keyword arguments that no constructor of `cls` or of its
            bases has taken, the last stop before `keras.Model`.

    Raises:
        ValueError: If an argument is not one of `keras.Model`.
    """
    unknown = {k: v for k, v in received.items() if k not in KERAS_ARGUMENTS}
    if not unknown:
        return
    accepted = constructor_arguments(cls)
    hints = []
    for name in unknown:
        close = difflib.get_close_matches(name, accepted, n=1)
        hints.append(f"`{name}`" + "".join(f" (did you mean `{c}`?)" for c in close))
    listed = ", ".join(f"{name}={value!r}" for name, value in unknown.items())
    raise ValueError(
        f"{cls.__name__} has no argument {', '.join(hints)}. Its arguments are "
        f"{', '.join(accepted)}. Received: {listed}"
    )


def constructor_arguments(cls):
    """Return the names of a constructor's arguments, those of `keras.Model` last.

    The `**kwargs` of a subclass stand for the arguments of its base, up to the first
    class of this library.
    """
    names = []
    for base in cls.__mro__:
        if "__init__" not in vars(base):
            continue
        _, *parameters = inspect.signature(base.__init__).parameters.values()
        variadic = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        names += [p.name for p in parameters if p.kind not in variadic]
        if base.__module__.startswith("keras_genimg."):
            break
    return list(dict.fromkeys([*names, *KERAS_ARGUMENTS]))
