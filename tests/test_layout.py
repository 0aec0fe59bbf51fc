"""The order of the packages, names that mean one thing, and names of extras."""

import ast
import functools
import graphlib
import importlib
import pathlib
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
# Modules that the library uses, too, where it writes files or looks up a preset. They
# import the standard library alone.
LEAVES = {"files", "metadata", "preset_names", "quiet_start"}


def statements_run_on_import(tree):
    """Yield the import statements of a module that run when it is imported."""
    for node in tree.body:
        if isinstance(node, ast.If):
            assert ast.unparse(node.test) in ("TYPE_CHECKING", "__name__ == '__main__'")
        elif not isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield from (each for each in ast.walk(node) if is_import(each))


def is_import(node):
    return isinstance(node, (ast.Import, ast.ImportFrom))


def test_the_library_imports_only_leaves_of_the_exporter_and_only_late():
    """It can be imported without the exporter, which imports the library at will."""
    for path in modules().values():
        tree = ast.parse(path.read_text())
        early = [ast.unparse(node) for node in statements_run_on_import(tree)]
        assert "genimg_export" not in " ".join(early), path
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef):
                late = [ast.unparse(each) for each in ast.walk(node) if is_import(each)]
                used = set(re.findall(r"genimg_export\.(\w+)", " ".join(late)))
                assert used <= LEAVES, path


def test_leaves_import_the_standard_library_alone():
    for name in LEAVES:
        tree = ast.parse((EXPORTER / f"{name}.py").read_text())
        for node in statements_run_on_import(tree):
            of = [node.module] if isinstance(node, ast.ImportFrom) else []
            of += [each.name for each in node.names if isinstance(node, ast.Import)]
            assert {each.split(".")[0] for each in of} <= sys.stdlib_module_names, name


def test_no_modules_of_the_exporter_import_each_other():
    graph = {}
    for path in sorted(EXPORTER.rglob("*.py")):
        folder = path.relative_to(EXPORTER).parts[:-1]
        found = graph[*folder, path.stem] = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                above = folder[: len(folder) + 1 - node.level]
                module = tuple(node.module.split(".")) if node.module else ()
                files = [(*above, *module, each.name) for each in node.names]
                found |= {
                    file
                    if pathlib.Path(EXPORTER, *file).with_suffix(".py").exists()
                    else (*above, *module)
                    for file in files
                }
    assert ("files",) in graph["versions",] and ("shards",) not in graph
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
    expected = {"examples", "photos", "serving", "tensorboard"}
    assert named == expected | {"bulk", "bulk-ray", "bulk-beam"} <= extras


def test_tests_do_not_import_from_each_other():
    """What several test modules need is in a module beside them."""
    pattern = re.compile(r"^ *from tests\.(\S*\btest_|\S+ import .*\btest_)")
    for path in sorted(ROOT.glob("tests/**/*.py")):
        assert not list(filter(pattern.match, path.read_text().splitlines())), path
