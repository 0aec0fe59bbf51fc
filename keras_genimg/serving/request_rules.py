"""What requests to a model look like, in a file for the proxy in front of a server.

A server that merges the requests of several clients fails all of them if one has other
shapes. So a proxy must know the inputs of each signature, and refuse what does not fit.
"""

import json
import pathlib
from typing import Any

from keras_genimg.files import atomic_path, sync
from keras_genimg.saved_model.metadata import most_examples, read_metadata
from keras_genimg.serving.verification.graph_scan import SavedGraph

FILE = "request_rules.json"
_RANGE = ("low", "high", "low_open", "high_open")


def rules_of(directory: pathlib.Path) -> dict[str, Any]:
    """Return the rules of a SavedModel by signature.

    Dtypes and shapes are those of the graph. Ranges are those of the metadata, unless
    examples out of range are flagged.

    Args:
        directory: Path of the SavedModel.

    Raises:
        ValueError: If it has no signature for servers, or an input of unknown rank.
    """
    metadata = read_metadata(directory)
    rules = {}
    for name, signature in SavedGraph(directory).signatures.items():
        # Both names stand for one signature, which the metadata describe once.
        described = "sample" if name == "serving_default" else name
        known = metadata.get("signatures", {}).get(described, {}).get("inputs", {})
        inputs = {}
        for key, tensor in sorted(signature.inputs.items()):
            if tensor.shape is None:
                raise ValueError(
                    f"Inputs must have a known number of axes, or requests cannot be "
                    f"checked. Received: {key!r} of {name!r} in {directory}"
                )
            inputs[key] = {"dtype": tensor.dtype.name, "shape": list(tensor.shape)}
            if metadata.get("bad_examples") == "error":
                limits = known.get(key, {})
                inputs[key] |= {k: limits[k] for k in _RANGE if k in limits}
        most = most_examples(metadata, described)
        rules[name] = {"inputs": inputs, "max_examples": most}
    return rules


def read_rules(directory: pathlib.Path) -> dict[int, dict[str, Any]]:
    """Return the rules of a model's versions that its file holds, by number.

    Args:
        directory: Directory of the model.
    """
    try:
        content = json.loads((directory / FILE).read_text())
        return {int(number): rules for number, rules in content["versions"].items()}
    except (OSError, ValueError, KeyError):
        return {}


def changed_input(rules: dict[str, Any], others: dict[str, Any]) -> str | None:
    """Return how an input differs between versions, so that they cannot share a batch.

    Args:
        rules: Rules of one version.
        others: Rules of the other version.

    Returns:
        A text, or None if signatures of the same name have inputs of the same names,
        dtypes and shapes.
    """
    for name in sorted(rules.keys() & others.keys()):
        new, old = (
            {k: (i["dtype"], i["shape"]) for k, i in rule[name]["inputs"].items()}
            for rule in (rules, others)
        )
        for key in sorted(new.keys() | old.keys()):
            if new.get(key) != old.get(key):
                given, before = (
                    f"{side[key][0]} {side[key][1]}" if key in side else "none"
                    for side in (new, old)
                )
                return f"input {key!r} of {name!r} is {given}, and was {before}"
    return None


def write_rules(
    directory: pathlib.Path,
    versions: dict[int, dict[str, Any]],
    folder: pathlib.Path | None = None,
) -> None:
    """Write the rules of a model's versions, atomically.

    A request that names a version must fit that version, and one that names none or a
    label must fit all of them.

    Args:
        directory: Directory of the model.
        versions: Rules by version number.
        folder: Directory for the unfinished file, see `atomic_path`.
    """
    merged: dict[str, Any] | None = {}
    for rules in versions.values():
        if merged is None or changed_input(rules, merged):
            merged = None
            break
        for name, rule in rules.items():
            merged[name] = _strictest(rule, merged[name]) if name in merged else rule
    content = {"any_version": merged, "versions": versions}
    with atomic_path(directory / FILE, folder) as unfinished:
        unfinished.write_text(json.dumps(content) + "\n")
        sync(unfinished)


def _strictest(first, second):
    inputs = {}
    for key, given in first["inputs"].items():
        other = second["inputs"][key]
        inputs[key] = {k: given[k] for k in ("dtype", "shape")}
        for end, sign in (("low", 1), ("high", -1)):
            ends = [
                (sign * side[end], side[f"{end}_open"])
                for side in (given, other)
                if side.get(end) is not None
            ]
            if ends:
                value, excluded = max(ends)
                inputs[key] |= {end: sign * value, f"{end}_open": excluded}
    most = [r["max_examples"] for r in (first, second) if r["max_examples"] is not None]
    return {"inputs": inputs, "max_examples": min(most, default=None)}
