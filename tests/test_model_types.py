"""Rooms below the models know them by their types alone, not by private members."""

import ast
import functools
import inspect

import pytest

from keras_genimg import model_types, models
from keras_genimg.generation.oriented import ModelOfOrders
from keras_genimg.generation.scales import ModelOfScales
from keras_genimg.generation.scheme import SampledModel
from keras_genimg.serving.model_endpoints import AutoEncoder, CanvasModel
from tests.conformance.registry import MODELS
from tests.modules import modules

# Models in the registry that have each type.
TYPES = {
    model_types.HasEndpoints: ["DRAW", "PixelCNN"],
    model_types.ImageModel: ["DRAW", "VAE", "PixelCNN"],
    model_types.LatentVariableModel: ["DRAW", "VAE"],
    model_types.PixelModel: ["PixelCNN", "MultiScalePixelRNN", "OrientedModel"],
    AutoEncoder: ["VAE"],
    CanvasModel: ["DRAW"],
    ModelOfOrders: ["OrientedModel"],
    ModelOfScales: ["MultiScalePixelRNN"],
    SampledModel: ["PixelCNN", "MultiScalePixelRNN", "OrientedModel"],
}
CASES = [(kind, name) for kind, names in TYPES.items() for name in names]
# Rooms that know no likelihoods, and take any model of Keras, which has no types.
_KNOW_KERAS = {"keras_private", "ops", "presets"}
_OF_KERAS = {"keras.Model", "AnyModel"}
# Rooms that import the families.
_ABOVE_MODELS = {"callbacks", "commands", "visualization"}
# Public methods of a NamedTuple.
_NOT_PRIVATE = {"_asdict", "_fields", "_replace"}


@functools.cache
def trees():
    """Return the syntax tree of each module outside of `models`, by name."""
    return {
        name: ast.parse(path.read_text())
        for name, path in modules().items()
        if room_of(name) != "models"
    }


def room_of(module):
    """Return the package below `keras_genimg` that a module is in."""
    return [*module.split("."), ""][1]


@functools.cache
def compiled_model(name):
    """Return a model of the registry, which is not changed."""
    model = MODELS[name].make()
    model.compile("adam")
    return model


def names_in(annotation):
    """Return the names in an annotation, those of `|` too."""
    if isinstance(annotation, ast.BinOp):
        return names_in(annotation.left) | names_in(annotation.right)
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return {annotation.value}
    return {ast.unparse(annotation)}


def faults_of_annotations(tree, allowed):
    """Yield the parameters called `model` without an allowed annotation."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            arguments = node.args
            given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
            for each in given:
                found = names_in(each.annotation) if each.annotation else set()
                if each.arg == "model" and not found & allowed:
                    yield f"{node.name}, line {node.lineno}"


def private_uses(tree):
    """Yield private members that are read or set, but for those of `self`."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Attribute) or not node.attr.startswith("_"):
            continue
        if node.attr.startswith("__") or node.attr in _NOT_PRIVATE:
            continue
        owner = ast.unparse(node.value)
        if owner not in ("self", "cls", "super()"):
            yield f"{ast.unparse(node)}, line {node.lineno}"


def asks_for_attributes(tree):
    """Yield calls of `hasattr`, or of `getattr` by name, with a model."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            asked = ast.unparse(node.args[0]).split(".")[-1].lstrip("_")
            if ast.unparse(node.func) in ("hasattr", "getattr") and asked == "model":
                yield f"{ast.unparse(node)}, line {node.lineno}"


def compared_names(tree):
    """Yield comparisons of the name of a class or a function, which others may have."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Compare):
            for side in (node.left, *node.comparators):
                if isinstance(side, ast.Attribute) and side.attr == "__name__":
                    yield f"{ast.unparse(node)}, line {node.lineno}"


def test_every_model_is_annotated():
    types = {kind.__name__ for kind in TYPES} | {"FunctionalModel"}
    faults = []
    for name, tree in trees().items():
        allowed = types
        if room_of(name) in _KNOW_KERAS:
            allowed = _OF_KERAS
        elif room_of(name) in _ABOVE_MODELS:
            allowed = types | set(models.__all__)
        faults += [f"{name}: {x}" for x in faults_of_annotations(tree, allowed)]
    assert not faults


def test_rooms_use_no_private_member_of_others():
    """`keras_private` is for those of Keras."""
    faults = [
        f"{name}: {use}"
        for name, tree in trees().items()
        if name != "keras_genimg.keras_private"
        for use in private_uses(tree)
    ]
    assert not faults


def test_no_room_asks_a_model_for_an_attribute():
    faults = [
        f"{name}: {use}"
        for name, tree in trees().items()
        for use in asks_for_attributes(tree)
    ]
    assert not faults


def test_no_room_compares_names_of_classes():
    """Data loaders of PyTorch are known by name, since it is not imported."""
    faults = [
        f"{name}: {use}"
        for name, tree in trees().items()
        if name != "keras_genimg.inputs.torch_loader"
        for use in compared_names(tree)
    ]
    assert not faults


@pytest.mark.parametrize(
    "check, line",
    [
        (compared_names, "type(model).__name__ == 'Sequential'"),
        (private_uses, "model._samplers.key()"),
        (private_uses, "self._model._pixels = 1"),
        (asks_for_attributes, "hasattr(self._model, 'endpoints')"),
        (asks_for_attributes, "getattr(model, 'inputs', None)"),
        (lambda tree: faults_of_annotations(tree, {"A"}), "def f(model): pass"),
        (lambda tree: faults_of_annotations(tree, {"A"}), "def f(*, model: B): pass"),
    ],
)
def test_these_tests_find_faults(check, line):
    assert len(list(check(ast.parse(line)))) == 1


def members_of(kind):
    """Return the attributes and methods that a protocol describes."""
    bases = [base for base in kind.__mro__ if base.__module__ != "typing"]
    names = {name for base in bases for name in vars(base)}
    names |= {name for base in bases for name in inspect.get_annotations(base)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("kind, name", CASES)
def test_models_have_what_their_types_describe(kind, name):
    """Pyright cannot compare the two, since Keras has no types."""
    model = compiled_model(name)
    assert not [each for each in members_of(kind) if not hasattr(model, each)]


@pytest.mark.parametrize("kind, name", CASES)
def test_methods_take_the_arguments_that_their_types_describe(kind, name):
    for member in members_of(kind):
        described = inspect.getattr_static(kind, member, None)
        if inspect.isfunction(described):
            expected = set(inspect.signature(described).parameters) - {"self"}
            method = getattr(compiled_model(name), member)
            known = set(inspect.signature(method).parameters) | {"options"}
            assert expected <= known, member
