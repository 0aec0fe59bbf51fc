"""Modules that cannot be imported, as where they are not installed."""

import os

from tests.subprocesses import ROOT

# What servers, workers and clients run without.
LIBRARY = ("keras", "keras_genimg", "tensorflow_probability")


def block(folder, *names):
    """Write modules that fail when imported; return a PYTHONPATH with them.

    It has the commands of `genimg_export`, too. Run them in this folder, since
    `python -m` looks for modules in the working directory first.
    """
    folder.mkdir(exist_ok=True)
    for name in (*LIBRARY, *names):
        (folder / f"{name}.py").write_text("raise ImportError('it is blocked')")
    return os.pathsep.join([str(folder), str(ROOT / "export")])
