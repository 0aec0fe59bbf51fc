"""The modules of the library."""

import functools

from tests.subprocesses import ROOT

PACKAGE = ROOT / "keras_genimg"


@functools.cache
def modules():
    """Return the path of each module by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found
