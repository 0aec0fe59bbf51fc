"""The order of the packages, names that mean one thing, and names of extras."""

import ast
import functools
import graphlib
import importlib
import importlib.util
import re
import sys

from tests.modules import PACKAGE, modules
from tests.subprocesses import ROOT

# From the bottom up. A package imports only from lines above; packages on the same line
# do not import each other.
LINES = [
    ["backend_check", "version", "extras", "types", "keras_private"],
    ["ops"],
    ["latents", "likelihoods"],
    ["model_types"],
    ["datasets", "losses"],
    ["layers", "metrics"],
    ["networks", "presets"],
    ["inputs"],
    ["sampling"],
    ["causality"],
    ["generation"],
    ["serving"],
    ["fitting"],
    ["models"],
    ["visualization"],
    ["callbacks"],
    ["commands"],
    ["__init__"],
]
HEIGHT = {name: height for height, line in enumerate(LINES) for name in line}


@functools.cache
def imports_of(path):
    """Return the modules that a file imports anywhere, also lazily."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            for name in node.names:
                module = f"{node.module}.{name.name}"
                found.add(module if module in modules() else node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return found


def own_imports_of(path):
    return {name for name in imports_of(path) if name.split(".")[0] == PACKAGE.name}


def place(module):
    """Return the package below `keras_genimg` that a module is in."""
    return (module.split(".") + ["__init__"])[1]


def test_imports_point_down():
    """Modules import only from lower lines, and nothing that is not in the package."""
    assert {place(module) for module in modules()} == set(HEIGHT)
    beside = {"export", "examples", "tests", "docs"}
    for module, path in modules().items():
        assert not beside & {name.split(".")[0] for name in imports_of(path)}, path
        for imported in own_imports_of(path):
            here, there = HEIGHT[place(module)], HEIGHT[place(imported)]
            is_same = place(imported) == place(module)
            assert is_same or there < here, f"{module} imports {imported}"


def test_no_modules_import_each_other():
    """No cycles within a package either; a package is its `__init__`."""
    graph = {module: own_imports_of(path) for module, path in modules().items()}
    graphlib.TopologicalSorter(graph).prepare()  # Raises an error with the cycle.


EXPORTER = ROOT / "export" / "genimg_export"


@functools.cache
def modules_of_exporter():
    """Return the path of each module of `genimg_export` by its dotted name."""
    found = {}
    for path in sorted(EXPORTER.rglob("*.py")):
        parts = path.relative_to(EXPORTER.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@functools.cache
def imports_in_exporter(module):
    """Return the modules that one of `genimg_export` imports anywhere, also late."""
    path, found = modules_of_exporter()[module], set()
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {each.name for each in node.names}
        elif isinstance(node, ast.ImportFrom):
            source = "." * node.level + (node.module or "")
            source = importlib.util.resolve_name(source, package)
            for each in node.names:
                name = f"{source}.{each.name}"
                found.add(name if name in modules_of_exporter() else source)
    return found


def test_the_library_builds_on_modules_that_do_not_import_it():
    """Files, verifier and publisher know no model; only commands import the library."""
    library = set().union(*map(imports_of, modules().values()))
    found, waiting = set(), sorted(library & set(modules_of_exporter()))
    assert {"genimg_export.files", "genimg_export.metadata"} <= set(waiting)
    while waiting:
        module = waiting.pop()
        if module not in found:
            found.add(module)
            imported = imports_in_exporter(module)
            ours = {name for name in imported if name.startswith(PACKAGE.name)}
            assert not ours, f"{module} imports {ours}"
            waiting += sorted(imported & set(modules_of_exporter()))
    assert "genimg_export.clean_process" in found
    assert "genimg_export.export_model" not in found


def test_the_clean_process_has_nothing_of_ours():
    """Its script runs alone: with another module, it could register what a graph needs.

    Then, an export that needs this library would seem to work without.
    """
    allowed = sys.stdlib_module_names | {"numpy", "tensorflow"}
    found = imports_in_exporter("genimg_export.clean_process")
    assert {name.partition(".")[0] for name in found} <= allowed


def test_no_modules_of_the_exporter_import_each_other():
    graph = {
        module: imports_in_exporter(module) & set(modules_of_exporter())
        for module in modules_of_exporter()
    }
    assert "genimg_export.files" in graph["genimg_export.versions"]
    graphlib.TopologicalSorter(graph).prepare()


def test_a_name_is_a_function_or_a_module():
    """A module does not have the name of a function that its package exports.

    Otherwise `keras_genimg.serving.publish` would be one or the other, depending on
    what was imported before.
    """
    for module, path in modules().items():
        if path.name == "__init__.py" and module != PACKAGE.name:
            exported = getattr(importlib.import_module(module), "__all__", [])
            files = {file.stem for file in path.parent.iterdir()}
            assert not files & set(exported), module


def test_hints_name_extras_that_exist():
    text = (ROOT / "pyproject.toml").read_text()
    table = text.split("[project.optional-dependencies]")[1].split("\n[")[0]
    extras = set(re.findall(r"^([\w-]+) = \[", table, re.MULTILINE))
    named = set()
    for path in [*ROOT.glob("export/**/*.py"), *PACKAGE.rglob("*.py")]:
        text = path.read_text()
        named |= {*re.findall(r"install_hint\([\"']([\w-]+)[\"']\)", text)}
        named |= {*re.findall(r"optional\([^\n]+, [\"']([\w-]+)[\"']", text)}
        named |= {*re.findall(r"pip install [^\n]*[.g]\[([\w-]+)\]", text)}
    expected = {"examples", "hub", "photos", "serving", "tensorboard"}
    assert named == expected | {"bulk", "bulk-ray", "bulk-beam"} <= extras


def test_tests_do_not_import_from_each_other():
    """What several test modules need is in a module beside them."""
    pattern = re.compile(r"^ *from tests\.(\S*\btest_|\S+ import .*\btest_)")
    for path in sorted(ROOT.glob("tests/**/*.py")):
        assert not list(filter(pattern.match, path.read_text().splitlines())), path
