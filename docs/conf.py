"""Settings of the documentation, which `sphinx-build -W docs site` builds offline.

Tutorials are executed, so a page that no longer runs fails the build.
"""

import os
import pathlib

from keras_genimg import __version__

# Notebooks run in folders of their own, without the log noise of TensorFlow.
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
os.environ["PYTHONWARNINGS"] = "ignore"

project = "keras_genimg"
author = "The keras_genimg authors"
release = version = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["README.md"]
html_theme = "furo"
html_title = f"keras_genimg {release}"
html_static_path = []
templates_path = []

nb_execution_mode = "off" if os.environ.get("DOCS_NO_EXECUTION") else "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 240
nb_merge_streams = True
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # The docstrings name types and shapes.
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [
    "Call arguments",
    "Input shape",
    "Output shape",
    ("References", "notes_style"),
]
suppress_warnings = ["mystnb.unknown_mime_type"]
nitpicky = False

ROOT = pathlib.Path(__file__).resolve().parent.parent
