"""The package that `python export/serve.py` and `python export/client.py` belong to.

Python runs a file outside any package, so its relative imports would fail. Importing
this module imports the file's directory as the package `genimg_export`, even where
another `genimg_export` is installed: a script of a checkout uses that checkout's files.
"""

import importlib.util
import pathlib
import sys
from typing import Any

NAME = "genimg_export"

_spec: Any = importlib.util.spec_from_file_location(
    NAME, pathlib.Path(__file__).with_name("__init__.py")
)
sys.modules[NAME] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(sys.modules[NAME])
