"""Settings of the documentation, which `sphinx-build -W docs site` builds offline.

Tutorials are executed, so a page that no longer runs fails the build.
"""

import html
import inspect
import os
import re
import textwrap

import nbformat
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
    "sphinx.ext.viewcode",
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


# What link previews show of a page without a paragraph, and of all pages.
DESCRIPTION = (
    "Image generators for Keras 3: PixelRNN, PixelCNN, DRAW and VAE, as layers and as "
    "models with trained weights."
)
PREVIEW = "examples/mnist_samples.png"
# The first cell of a downloaded tutorial, whose folder may be any.
INSTALLATION = """\
# Run this once, with the path of your checkout of the keras_genimg repository.
checkout = "./keras_genimg"
%pip install --quiet "{checkout}[examples,serving]"\
"""


def address_of(app, kind):
    """Return the public address of the repository's files, from pyproject.toml.

    Args:
        app: The Sphinx application.
        kind: `"github.com"` for pages, or `"raw.githubusercontent.com"` for pictures.
    """
    settings = (app.srcdir.parent / "pyproject.toml").read_text()
    return re.findall(rf"\]\((https://{kind}/.*?)\\1", settings)[0]


def with_notebook(app, doctree):
    """Add a link to download a tutorial, as executed, below its title.

    The notebook begins with a cell that installs the library. Its links to other pages
    become addresses, since those pages are not next to a downloaded file.
    """
    folder, _, name = app.env.docname.rpartition("/")
    if folder != "tutorials":
        return
    path = f"{app.env.mystnb_config.output_folder}/{folder}/{name}.ipynb"
    notebook = nbformat.read(path, nbformat.NO_CONVERT)
    pages = address_of(app, "github.com")

    def absolute(link):
        target = link[1] if link[1][0] != "#" else f"{name}.md{link[1]}"
        return f"]({pages}{os.path.normpath(f'docs/{folder}/{target}')})"

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            relative = r"\]\((?!https?:)([^)\s]+)\)"
            cell.source = re.sub(relative, absolute, cell.source)
    notebook.cells.insert(0, nbformat.v4.new_code_cell(INSTALLATION))
    nbformat.write(notebook, path)
    link = download_reference("", reftarget=f"/{os.path.relpath(path, app.srcdir)}")
    link += nodes.Text("Download this page as a notebook")
    title = next(doctree.findall(nodes.title))
    title.parent.insert(1, nodes.paragraph("", "", link, classes=["notebook"]))


def add_preview(app, pagename, templatename, context, doctree):
    """Add what messengers and search engines show of a page: text and a picture."""
    paragraphs = doctree.findall(nodes.paragraph) if doctree else ()
    text = DESCRIPTION
    for paragraph in paragraphs:
        in_text = isinstance(paragraph.parent, nodes.section)
        if in_text and "notebook" not in paragraph["classes"]:
            text = textwrap.shorten(paragraph.astext(), 200, placeholder=" ...")
            break
    title = html.unescape(re.sub("<[^>]+>", "", context.get("title") or project))
    properties = {
        "og:type": "website",
        "og:site_name": project,
        "og:title": title,
        "og:description": text,
        "og:image": address_of(app, "raw.githubusercontent.com") + PREVIEW,
        "og:image:alt": "Digits of MNIST next to digits generated by a PixelRNN",
        "twitter:card": "summary_large_image",
    }
    if context.get("pageurl"):  # With `-D html_baseurl=ADDRESS`.
        properties["og:url"] = context["pageurl"]
    tags = [f'<meta name="description" content="{html.escape(text)}">']
    for name, content in properties.items():
        tags.append(f'<meta property="{name}" content="{html.escape(content)}">')
    context["metatags"] = context.get("metatags", "") + "\n".join(tags)


def setup(app):
    """Connect the hooks of this file."""
    app.connect("autodoc-process-signature", with_short_signature)
    # Before Sphinx collects the files to download.
    app.connect("doctree-read", with_notebook, priority=100)
    app.connect("autodoc-process-docstring", with_literal_blocks, priority=100)
    app.connect("html-page-context", add_preview)
