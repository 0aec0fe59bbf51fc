"""Settings of the documentation, which `sphinx-build -W docs site` builds offline.

Tutorials are executed, so a page that no longer runs fails the build.
"""

import inspect
import os
import re

from docutils import nodes
from numpy.typing import ArrayLike
from sphinx.addnodes import download_reference
from sphinx.util.inspect import stringify_signature
from sphinx.util.typing import stringify_annotation

from keras_genimg import __version__

project = "keras_genimg"
author = "The keras_genimg authors"
copyright = f"2026, {author}"
release = version = __version__
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
]
exclude_patterns = ["README.md", "notes"]  # Notes are for contributors.
default_role = "code"
html_theme = "furo"
html_title = f"keras_genimg {release}"
html_static_path = ["_static"]
html_css_files = ["site.css"]
templates_path = []

nb_execution_mode = "off" if os.environ.get("DOCS_NO_EXECUTION") else "force"
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_execution_timeout = 900  # Seconds a cell may take, on a slow and busy machine too.
nb_output_stderr = "remove"  # TensorFlow's notices, progress bars.
nb_merge_streams = True
nb_render_markdown_format = "gfm"  # CommonMark, the default, has no tables.
myst_enable_extensions = ["attrs_inline", "colon_fence"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
python_maximum_signature_line_length = 88  # Longer ones have a line per argument.
# Methods that only Keras documents are left to its documentation.
autodoc_inherit_docstrings = False
autodoc_default_options = {"members": True, "show-inheritance": True}
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
napoleon_custom_sections = [
    ("Call arguments", "params_style"),
    "Input shape",
    "Output shape",
    ("References", "notes_style"),
]
suppress_warnings = ["mystnb.unknown_mime_type"]


def with_literal_blocks(app, what, name, obj, options, lines):
    """Mark the indented formulas of docstrings as literal blocks, in place.

    Docstrings are written to be read in an editor, without `::` before a formula.
    """
    marked, section, previous, inside = [], 0, 0, False
    for index, line in enumerate(lines):
        indent = len(line) - len(line.lstrip())
        if line and indent == 0:
            following = lines[index + 1] if index + 1 < len(lines) else ""
            header = re.fullmatch(r"[A-Z][\w ]*:", line) and following.startswith("  ")
            section = 4 if header else 0
        if line and indent <= section:
            inside = False
        elif line and not inside and not lines[index - 1] and previous <= section:
            inside = True
            marked += [" " * section + "::", ""]
        if line:
            previous = indent
        marked.append(line)
    lines[:] = marked


def with_short_signature(app, what, name, obj, options, signature, returned):
    """Return the signature of a class or function as its source has it.

    Keras' `__new__`, which autodoc reads, takes any arguments. NumPy's `ArrayLike` is a
    union of private types.
    """
    if what == "class":
        signature = stringify_signature(
            inspect.signature(obj),
            show_return_annotation=False,
            unqualified_typehints=True,
        )
    array_like = stringify_annotation(ArrayLike, "smart")
    return signature and signature.replace(array_like, "ArrayLike"), returned


def with_notebook(app, doctree):
    """Add a link to download a tutorial, as executed, below its title."""
    folder, _, name = app.env.docname.rpartition("/")
    if folder == "tutorials":
        path = f"{app.env.mystnb_config.output_folder}/{folder}/{name}.ipynb"
        link = download_reference("", reftarget=f"/{os.path.relpath(path, app.srcdir)}")
        link += nodes.Text("Download this page as a notebook")
        title = next(doctree.findall(nodes.title))
        title.parent.insert(1, nodes.paragraph("", "", link))


def setup(app):
    """Connect the hooks of this file."""
    app.connect("autodoc-process-signature", with_short_signature)
    # Before Sphinx collects the files to download.
    app.connect("doctree-read", with_notebook, priority=100)
    app.connect("autodoc-process-docstring", with_literal_blocks, priority=100)
