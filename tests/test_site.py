"""The built pages of the documentation."""

import html
import inspect
import json
import re
import shutil

import pytest

import keras_genimg
from keras_genimg.presets import FAMILIES
from tests.subprocesses import ROOT, run_python

pytestmark = pytest.mark.slow

pytest.importorskip("myst_nb", reason="needs the extra `docs`")
pytest.importorskip("furo", reason="needs the extra `docs`")

CLASSES = [
    getattr(getattr(keras_genimg, package), name)
    for package in ("layers", "models", "likelihoods", "latents", "callbacks")
    for name in getattr(keras_genimg, package).__all__
    if inspect.isclass(getattr(getattr(keras_genimg, package), name))
]
LOOKED_AT = """index gallery choosing presets results papers glossary
    tutorials/quick_start reference/layers reference/layers/lstms
    reference/models/pixels""".split()


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """All pages, without the outputs of their code."""
    folder = tmp_path_factory.mktemp("site") / "html"
    run_python(
        *"-m sphinx --quiet -W --keep-going docs".split(),
        folder,
        DOCS_NO_EXECUTION="1",
    )
    return folder


@pytest.fixture(scope="module")
def reference(site):
    """The text of the reference."""
    pages = (site / "reference").rglob("*.html")
    return "".join(page.read_text() for page in sorted(pages))


def test_presets_are_a_table(tmp_path):
    """With a row for each preset."""
    docs, site = tmp_path / "docs", tmp_path / "html"
    docs.mkdir()
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("conf.py", "presets.md"):
        shutil.copy(ROOT / "docs" / name, docs)
    run_python("-m", "sphinx", "--quiet", "-D", "root_doc=presets", docs, site)
    table = (site / "presets.html").read_text().partition("<table")[2]
    rows = table.partition("</table>")[0].split("<tr")[2:]
    expected = [f"{family}/{name}" for family in FAMILIES for name in FAMILIES[family]]
    assert [re.findall(r'class="pre">([^<]+)<', row)[0] for row in rows] == expected


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_reference_has_signatures(reference, kind):
    package = ".".join(kind.__module__.split(".")[:2])
    start = reference.index(f'id="{package}.{kind.__name__}"')
    text = re.sub(r"<[^>]+>", "", reference[start : reference.index("</dt>", start)])
    text = html.unescape(text)
    for name, parameter in inspect.signature(kind).parameters.items():
        assert f"{name}: " in text
        if parameter.default is not parameter.empty:
            assert repr(parameter.default) in text
    assert "*args" not in text


@pytest.mark.parametrize("kind", CLASSES, ids=lambda kind: kind.__name__)
def test_the_reference_links_to_sources(site, kind):
    page = site / "_modules" / f"{kind.__module__.replace('.', '/')}.html"
    assert f'id="{kind.__name__}"' in page.read_text()


def test_notebooks_can_be_downloaded(site):
    """They install the library, and their links do not need the other pages."""
    notebooks = list((site / "_downloads").rglob("*.ipynb"))
    pages = {path.stem for path in (ROOT / "docs" / "tutorials").glob("*.md")}
    assert {path.stem for path in notebooks} == pages
    address = "https://github.com/keras-genimg/keras-genimg/blob/main/"
    for path in notebooks:
        first, *cells = json.loads(path.read_text())["cells"]
        assert first["cell_type"] == "code"
        assert any("%pip install" in line for line in first["source"])
        for cell in cells:
            if cell["cell_type"] != "markdown":
                continue
            for link in re.findall(r"\]\(([^)\s]+)\)", "".join(cell["source"])):
                assert link.startswith("https://"), link
                if link.startswith(address):
                    target = link.removeprefix(address).partition("#")[0]
                    assert (ROOT / target).is_file(), link


def test_pages_have_previews(site):
    for path in site.rglob("*.html"):
        head = path.read_text().partition("</head>")[0]
        found = dict(re.findall(r'<meta property="([^"]+)" content="([^"]*)">', head))
        assert found["og:title"] and found["og:description"], path
        assert "Download this page" not in found["og:description"], path
        _, _, picture = found["og:image"].partition("/main/")
        assert (ROOT / picture).is_file()
    head = (site / "tutorials" / "own_images.html").read_text()
    assert "By the end of this page you will have trained a model on a folder" in head


def test_pages_in_a_browser(site, browser):
    """They fit the width of a phone and of a desktop, and show all their pictures."""
    for width in (390, 1280):
        page = browser.new_page(viewport={"width": width, "height": 900})
        for name in LOOKED_AT:
            page.goto((site / f"{name}.html").as_uri())
            shown = page.evaluate("document.documentElement.scrollWidth")
            assert shown == width, name
            pictures = "Array.from(document.images, image => image.naturalWidth)"
            assert all(page.evaluate(pictures)), name
