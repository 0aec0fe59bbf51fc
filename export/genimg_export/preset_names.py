"""Names of presets, and of their models' arguments, without importing TensorFlow.

They are read from the source of keras_genimg, so that a command refuses a misspelled
name at once, not after the import, which takes seconds.
"""

import ast
import difflib
import importlib.util
import pathlib
from typing import Any


def find_preset(name: str) -> tuple[str, str]:
    """Return the class and the name of a preset, as command lines name them.

    Args:
        name: `FAMILY/NAME`, such as `PixelRNN/mnist_diagonal_1x32`, or NAME alone if
            only one family has it.

    Returns:
        Name of the class in `keras_genimg.models`, and of its preset.

    Raises:
        ValueError: If there is no such preset, or several families have it.
    """
    families = preset_names()
    family, _, preset = name.rpartition("/")
    found = [
        each
        for each, presets in families.items()
        if preset in presets and family in ("", each)
    ]
    if len(found) == 1:
        return found[0], preset
    if found:
        written = ", ".join(f"{each}/{preset}" for each in found)
        raise ValueError(
            f"Several families have a preset {preset!r}. Write one of {written}."
        )
    known = [f"{each}/{one}" for each, presets in families.items() for one in presets]
    alone = [one for presets in families.values() for one in presets]
    candidates = known if family else alone
    raise ValueError(
        f"There is no preset {name!r}.{did_you_mean(name, candidates)} genimg-train "
        f"--list prints all."
    )


def did_you_mean(name, known):
    """Return a question with the known names that are nearest, "" if none is near."""
    near = difflib.get_close_matches(name, dict.fromkeys(known))
    return f" Did you mean {' or '.join(near)}?" if near else ""


def preset_names():
    """Return the names of the presets of each family, as `FAMILIES` has them."""
    return {family: [*presets] for family, presets in _presets().items()}


def setting_names(family: str, preset: str) -> list[str]:
    """Return the names of the settings of a preset that a command line can change.

    They are the arguments of the model's constructor, or, for a model of several
    orders, of that of its network.
    """
    for node in ast.walk(_presets()[family][preset]):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "network":
                    return argument_names(ast.literal_eval(value))
    return argument_names(family)


def argument_names(family):
    """Return the names of the arguments of a model's constructor."""
    for file in sorted((_package() / "models").glob("*.py")):
        for node in _parsed(file).body:
            if isinstance(node, ast.ClassDef) and node.name == family:
                (constructor,) = (
                    each
                    for each in node.body
                    if isinstance(each, ast.FunctionDef) and each.name == "__init__"
                )
                _, *arguments = constructor.args.args
                return [argument.arg for argument in arguments]
    raise ValueError(f"keras_genimg.models has no class {family}")


def _presets():
    """Return the presets of each family by name, each an expression of the source."""
    dicts: dict[str, Any] = {
        ast.unparse(node.targets[0]): node.value
        for node in _parsed("presets/settings.py").body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict)
    }
    families = dicts["FAMILIES"]
    found = {}
    for family, presets in zip(families.keys, families.values, strict=True):
        items = dicts[presets.id]
        names = (key.value for key in items.keys)
        found[family.value] = dict(zip(names, items.values, strict=True))
    return found


def _package():
    """Return the folder of keras_genimg, which is not imported."""
    spec: Any = importlib.util.find_spec("keras_genimg")
    return pathlib.Path(spec.origin).parent


def _parsed(file):
    return ast.parse((_package() / file).read_text("utf-8"))
