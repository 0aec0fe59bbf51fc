"""What the library uses of Keras and TensorFlow beyond their public names.

Each test uses a function of `keras_private` as the library does, and fails if a version
of Keras or TensorFlow behaves otherwise.
"""

import ast
import importlib
import inspect
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers, ops

from keras_genimg import keras_private as private
from keras_genimg.models import GenerativeModel
from keras_genimg.sampling import pointwise, program, rewrites
from tests.modules import modules
from tests.subprocesses import ROOT, run_forked, start_forked, worker_environments

ONES = np.ones((4, 3), "float32")


class Block(layers.Layer):
    """A layer with others in attributes of all kinds."""

    def __init__(self):
        super().__init__()
        self.alone = layers.Dense(3)
        self.listed = [layers.Dense(3), {"named": layers.Dropout(0.5)}]

    def call(self, inputs):
        dense, others = self.listed
        return dense(others["named"](self.alone(inputs)))


def dense_model(kind=keras.Model):
    inputs = keras.Input((3,))
    return kind(inputs, layers.Dense(2)(inputs))


def compiled_model(kind=keras.Model, optimizer="sgd", **options):
    model = dense_model(kind)
    model.compile(optimizer, "mse", **options)
    return model


def targets():
    return np.zeros((4, 2), "float32")


def one_cpu():
    return tf.distribute.MirroredStrategy(["/cpu:0"])


# Layers and models.


def test_all_layers_are_found_once():
    block, shared = Block(), layers.Dense(3)
    inputs = keras.Input((3,))
    inner = keras.Sequential([shared, block])
    model = keras.Model(inputs, inner(shared(inputs)))
    inside = {block, block.alone, block.listed[0], block.listed[1]["named"]}
    expected = {model, inner, shared, *inside}
    found = private.all_layers(model)
    found = [each for each in found if not isinstance(each, layers.InputLayer)]
    assert set(found) == expected and len(found) == len(expected)
    assert set(private.all_layers(block, include_self=False)) == inside - {block}


class Penalized(layers.Layer):
    """A layer that adds the sum of its inputs to the loss."""

    def call(self, inputs):
        self.add_loss(ops.sum(inputs))
        return inputs


def test_added_losses_are_forgotten():
    inputs = keras.Input((3,))
    outputs = layers.Dense(2, kernel_regularizer="l2")(Penalized()(inputs))
    model = keras.Model(inputs, outputs)
    model(ONES)
    assert len(model.losses) == 2
    private.forget_losses(model)
    assert len(model.losses) == 1  # That of the weights.


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "float32", "bfloat16"])
def test_variables_are_read_as_in_a_call(policy):
    layer = layers.Dense(2, dtype=policy)
    expected = layer(ONES)
    with private.autocast_scope(layer):
        assert layer.call(ops.cast(ONES, layer.compute_dtype)).dtype == expected.dtype
    outside = layer.kernel + 0
    assert outside.dtype == layer.variable_dtype


def test_operations_have_no_scope():
    with private.autocast_scope(keras.Operation()):
        assert (keras.Variable(1.0) + 0).dtype == "float32"


def test_arguments_of_each_call_of_a_layer():
    layer, inputs = layers.BatchNormalization(), keras.Input((3,))
    assert private.arguments_of_calls(layer) == []
    keras.Model(inputs, layer(layer(inputs, training=False)))
    first, second = private.arguments_of_calls(layer)
    assert first["training"] is False and second.get("training") is None


# Graphs of functional models.


class Hooked(private.GraphModel):
    """Records what the hooks receive."""

    num_batches = 0
    reads = None

    def _inputs_of_graph(self, inputs):
        return 2 * inputs

    def _build_for_steps(self, iterator, batch):
        self.was_built = (metrics := private.metrics_of_compile(self)) and metrics.built
        if self.reads is not None:
            self.given = private.dataset_of(iterator)
            private.set_dataset_of(iterator, self.reads)
        super()._build_for_steps(iterator, batch)

    def _check_may_be_cloned(self):
        raise ValueError("not to be cloned")


def test_a_model_can_change_what_its_graph_is_given():
    model = dense_model(Hooked)
    plain = keras.Model(model.inputs, model.outputs)
    expected = plain(tf.constant(2 * ONES))
    np.testing.assert_array_equal(model(tf.constant(ONES)), expected)
    np.testing.assert_array_equal(model.predict(ONES, verbose=0), expected)


def test_a_model_can_change_the_data_before_the_first_step():
    """The iterator of `fit` and `evaluate` has a data set, which can be replaced."""

    class Batches:
        started = 0

        def __iter__(self):
            self.started += 1
            return iter(tf.data.Dataset.from_tensors((3 * ONES, targets())))

    model = compiled_model(Hooked, keras.optimizers.SGD(0.0))
    expected = model.evaluate(3 * ONES, targets(), verbose=0)
    model.reads = Batches()
    found = model.fit(ONES, targets(), epochs=3, verbose=0).history["loss"]
    np.testing.assert_allclose(found, [expected] * 3)
    assert model.reads.started >= 3
    ((x, _),) = model.given
    np.testing.assert_array_equal(x, ONES)


def test_a_model_under_a_strategy_is_built_before_the_first_step():
    with one_cpu().scope():
        model = compiled_model(Hooked, metrics=["mae"])
    model.train_on_batch(ONES, targets())
    assert not model.was_built
    model.train_on_batch(ONES, targets())
    assert model.was_built


def test_a_model_can_refuse_to_be_cloned():
    model = dense_model(Hooked)
    with pytest.raises(ValueError, match="not to be cloned"):
        keras.models.clone_model(model)
    outer = keras.Model(model.inputs, model(model.inputs[0]))
    assert isinstance(keras.models.clone_model(outer).layers[-1], Hooked)


class Doubled(keras.Model):
    def call(self, inputs, training=None, mask=None):
        return 2 * super().call(inputs, training, mask)


class WithoutGraph(keras.Model):
    def call(self, inputs):
        return inputs


def test_models_that_run_their_graph():
    ours = dense_model(type("Ours", (Hooked,), {}))
    models = dense_model(), dense_model(type("Mine", (keras.Model,), {})), ours
    assert all(map(private.runs_its_graph, models))
    assert private.runs_its_graph(keras.Sequential([layers.Dense(2)]))
    assert issubclass(GenerativeModel, private.GraphModel)
    changed = dense_model()
    changed.call = lambda inputs: inputs
    others = dense_model(Doubled), WithoutGraph(), layers.Dense(2), Block(), changed
    assert not any(map(private.runs_its_graph, others))


def test_a_graph_runs_on_any_values():
    first, second = keras.Input((3,)), keras.Input((3,))
    dense = layers.Dense(3, name="dense")
    outputs = [dense(first) * second, dense(second)]
    graph = keras.Function([first, second], outputs)

    def call(operation, *args, **kwargs):
        assert not kwargs
        return [f"{operation.name.split('_')[0]}({', '.join(map(str, args))})"]

    found = private.run_graph(graph, ["a", "b"], call)
    assert found == ["multiply(dense(a), b)", "dense(b)"]


def test_calls_are_in_the_order_of_computation():
    inputs, dense = keras.Input((3,)), layers.Dense(3)
    hidden = dense(inputs)
    outputs = dense(hidden) + inputs
    first, second, third = private.calls_in_order(keras.Function(inputs, outputs))
    assert first == (dense, [inputs], [hidden])
    assert second.operation is dense and second.inputs == [hidden]
    assert isinstance(third.operation, keras.Operation)
    assert third.inputs == [*second.outputs, inputs] and third.outputs == [outputs]


def made_by(name):
    """Return the operation that the function of `keras.ops` of a class makes."""
    x = keras.Input((2, 4))
    with_arguments = {
        "Cast": lambda: ops.cast(x, "int32"),
        "Clip": lambda: ops.clip(x, 0, 1),
        "Concatenate": lambda: ops.concatenate([x, x]),
        "GetItem": lambda: x[..., :1],
        "Reshape": lambda: ops.reshape(x, (-1, 8)),
        "Split": lambda: ops.split(x, 2, axis=-1),
        "Where": lambda: ops.where(x > 0, x, x),
    }
    if name in with_arguments:
        outputs = with_arguments[name]()
    else:
        words = re.sub("(?<=[a-z])(?=[A-Z])", "_", name).lower()
        function = getattr(ops, words)
        parameters = inspect.signature(function).parameters.values()
        needed = [each for each in parameters if each.default is each.empty]
        outputs = function(*[x] * len(needed))
    return keras.Function(x, outputs).operations[-1]


_KINDS = {
    *pointwise.ELEMENTWISE,
    *pointwise._ALONG_AXIS,
    *pointwise._REDUCTIONS,
    *pointwise._INDEXING,
    *program._CONVERSIONS,
    *rewrites._RELUS,
    *private.operation_classes(["Add", "Reshape"]),
}
# Sorted, so that all processes of a parallel run collect the tests in the same order.
KNOWN = sorted(_KINDS, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", KNOWN, ids=lambda kind: kind.__name__)
def test_functions_of_keras_make_the_known_operations(kind):
    assert type(made_by(kind.__name__)) is kind


def test_no_known_operation_is_missing():
    """An operation that is left out would be refused, or be drawn slowly."""
    assert len(KNOWN) == 84
    assert private.operation_classes(["NoSuchOperation", "Dense"]) == frozenset()


# Training.


def test_the_scope_of_a_model_is_that_of_its_making():
    strategy = one_cpu()
    with strategy.scope():
        inside = dense_model()
        optimizer = keras.optimizers.Adam()
    outside = dense_model()
    assert private.scope_of(inside) is strategy
    assert private.scope_of_optimizer(optimizer) is strategy
    with strategy.scope():
        assert private.scope_of(outside) is None
    of_default = private.scope_of_optimizer(keras.optimizers.SGD())
    assert of_default is tf.distribute.get_strategy() is not strategy
    assert private.scope_of_optimizer("adam") is None


@pytest.mark.parametrize("leave", [False, True])
def test_gradients_are_summed_unless_left_unsummed(leave):
    """TensorFlow sums in an operation with a gradient of its own, `IdentityN`."""
    variable, optimizer = keras.Variable(1.0), keras.optimizers.SGD(0.5)
    optimizer.build([variable])
    if leave:
        private.leave_gradients_unsummed(optimizer)

    @tf.function(autograph=False)
    def step():
        optimizer.apply([tf.constant(1.0)])

    graph = step.get_concrete_function().graph
    sums = [each for each in graph.get_operations() if each.type == "IdentityN"]
    assert bool(sums) is not leave
    step()
    assert float(variable.value) == 0.5


def test_averages_are_swapped_again_after_weights_were_restored():
    sgd = keras.optimizers.SGD(1.0, use_ema=True, ema_momentum=0.5)
    assert private.averages_of(keras.optimizers.SGD()) == []
    model = compiled_model(optimizer=sgd)
    model.train_on_batch(ONES, targets())
    averages = [np.asarray(each) for each in private.averages_of(sgd)]
    weights = model.get_weights()
    shapes = [each.shape for each in weights]
    assert [each.shape for each in averages] == shapes
    swap = keras.callbacks.SwapEMAWeights(swap_on_epoch=True)
    swap.set_model(model)
    swap.set_params({"epochs": 9})
    swap.on_epoch_end(0)
    assert_same_arrays(model.get_weights(), averages)
    # A restart leaves this: the weights of the model, and the averages beside them.
    for variables, values in (
        (model.trainable_variables, weights),
        (private.averages_of(sgd), averages),
    ):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
    swap.on_epoch_end(1)
    assert_same_arrays(model.get_weights(), weights)
    private.expect_no_averages(swap)
    swap.on_epoch_end(1)
    assert_same_arrays(model.get_weights(), averages)


def assert_same_arrays(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_all_variables_are_made_before_the_first_step():
    given = [keras.metrics.MeanAbsoluteError()]
    model = keras.Sequential([layers.Dense(2)])
    assert private.metrics_of_compile(model) is None
    model.compile("adam", "mse", metrics=given)
    assert not private.metrics_of_compile(model).built
    assert private.metrics_given(model) == given
    assert given[0] not in model.metrics
    private.build_for_step(model, (ONES, targets()))
    assert private.metrics_of_compile(model).built
    variables = {id(each) for each in [*model.variables, *model.metrics_variables]}
    assert len(model.weights) == 2 and {id(v) for v in given[0].variables} <= variables
    model.train_on_batch(ONES, targets())
    after = {id(each) for each in [*model.variables, *model.metrics_variables]}
    assert variables == after


@pytest.mark.parametrize("direction, best", [("up", 3.0), ("down", 1.0)])
def test_callbacks_know_the_direction_of_a_metric(direction, best):
    metric = keras.metrics.MeanMetricWrapper(keras.losses.MeanSquaredError(), "mine")
    private.set_direction(metric, direction)
    model = compiled_model(metrics=[metric])
    model.train_on_batch(ONES, targets())
    stop = keras.callbacks.EarlyStopping("mine", patience=9)
    stop.set_model(model)
    stop.on_train_begin()
    for epoch, value in enumerate([2.0, 1.0, 3.0]):
        stop.on_epoch_end(epoch, {"mine": value})
    assert stop.best == best


def test_a_restored_epoch_is_forgotten(tmp_path):
    model = compiled_model()

    def epochs(**options):
        return model.fit(ONES, targets(), epochs=3, verbose=0, **options).epoch

    class Stopped(keras.callbacks.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            if epoch == 2:
                raise InterruptedError

    backup = keras.callbacks.BackupAndRestore(str(tmp_path / "backup"))
    with pytest.raises(InterruptedError):
        epochs(callbacks=[backup, Stopped()])
    assert epochs(callbacks=[backup]) == [2]
    assert epochs() == [2]  # Left behind by the callback.
    private.forget_initial_epoch(model)
    assert epochs() == [0, 1, 2]


def test_evaluation_in_fit_differs_from_that_of_a_user():
    found = []

    class Evaluated(keras.Model):
        def evaluate(self, *args, **kwargs):
            found.append(private.is_evaluation_in_fit(kwargs))
            return super().evaluate(*args, **kwargs)

    model = compiled_model(Evaluated)
    data = ONES, targets()
    model.fit(*data, validation_data=data, verbose=0)
    model.evaluate(*data, verbose=0)
    assert found == [True, False]


# TensorFlow.


def test_one_process_is_not_several_workers():
    strategies = tf.distribute.get_strategy(), one_cpu()
    assert not any(map(private.is_multi_worker, strategies))


def print_whether_multi_worker():
    strategy = tf.distribute.MultiWorkerMirroredStrategy()
    print("several:", private.is_multi_worker(strategy))


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
def test_workers_of_several_processes(tmp_path, count):
    environments = worker_environments(count)
    others = [
        start_forked(print_whether_multi_worker, output=tmp_path / f"{i}", **each)
        for i, each in enumerate(environments[1:])
    ]
    output = tmp_path / "chief"
    printed = run_forked(print_whether_multi_worker, output=output, **environments[0])
    for other in others:
        other.join()
    assert f"several: {count == 2}" in printed


@pytest.mark.parametrize("jit_compile", [False, True])
def test_functions_within_know_whether_xla_compiles_them(jit_compile):
    found = []

    @tf.function(autograph=False)
    def inner(x):
        found.append(private.is_for_xla(tf.compat.v1.get_default_graph()))
        return x

    @tf.function(autograph=False, jit_compile=jit_compile)
    def outer(x):
        found.append(private.is_for_xla(tf.compat.v1.get_default_graph()))
        return inner(x) + 1

    outer(tf.constant(1.0))
    assert found == [jit_compile] * 2


def test_names_of_gradients_are_forgotten():
    @tf.custom_gradient
    def doubled(x):
        return 2 * x, lambda gradient: -gradient

    @tf.function(autograph=False)
    def traced(x):
        return doubled(x)

    def gradient_of(graph_def):
        with tf.Graph().as_default():
            x = tf.constant(1.0)
            outputs = tf.import_graph_def(graph_def, {"x": x}, ["IdentityN:0"])
            return tf.compat.v1.gradients(outputs, x)[0].op.type

    graph_def = traced.get_concrete_function(tf.constant(1.0)).graph.as_graph_def()
    assert gradient_of(graph_def) == "Neg"
    private.forget_gradients(graph_def.node)
    with pytest.raises(LookupError, match="No gradient defined.*IdentityN"):
        gradient_of(graph_def)


# Private names stand nowhere else.

PRIVATE_FILE = ROOT / "keras_genimg" / "keras_private.py"
OTHER_FILES = [
    path
    for folder in ("keras_genimg", "export")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if path != PRIVATE_FILE
]
# Private by their name alone: of the standard library.
NOT_OF_KERAS = {"_exit", "_replace"}
PRIVATE_MODULES = "keras.src", "tensorflow.python"
KERAS_HOOKS = {"_maybe_symbolic_build", "_run_through_graph"}
DEFINITIONS = ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef


def is_private(name):
    return bool(re.fullmatch(r"_[A-Za-z]\w*", str(name)))


def names_in(path):
    """Return the private attributes in a file, texts in it, and what it defines."""
    attributes, texts, defined = set(), set(), set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Attribute):
            is_stored = isinstance(node.ctx, ast.Store)
            own = is_stored and ast.unparse(node.value) == "self"
            (defined if own else attributes).add(node.attr)
        elif isinstance(node, ast.Constant):
            texts.add(node.value)
        elif isinstance(node, DEFINITIONS):
            defined.add(node.name)
        elif isinstance(node, ast.Name):
            defined.add(node.id)
    return [set(filter(is_private, each)) for each in (attributes, texts, defined)]


def modules_in(path):
    """Return the modules that a file imports, and names that it imports from them."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{each.name}" for each in node.names)


def test_private_names_are_in_one_file():
    attributes, texts, hooks = names_in(PRIVATE_FILE)
    named = {path: names_in(path) for path in OTHER_FILES}
    ours = hooks.union(*(defined for _, _, defined in named.values()))
    # Hooks of Keras are defined there too, with a call of `super()`.
    of_keras = attributes | texts
    of_keras -= {name for name in vars(private.GraphModel) if name not in KERAS_HOOKS}
    assert {"_flatten_layers", "_direction", *KERAS_HOOKS} <= of_keras
    for path, (attributes, texts, defined) in named.items():
        used = (attributes | texts | defined) & of_keras
        used |= attributes - ours - NOT_OF_KERAS
        used |= {x for x in modules_in(path) if x.startswith(PRIVATE_MODULES)}
        assert not used, f"{path}: use {used} in keras_private.py alone"


def classes_of_keras():
    """Yield our classes that Keras has bases of, and these bases."""
    for module in modules():
        for kind in vars(importlib.import_module(module)).values():
            if isinstance(kind, type) and kind.__module__ == module:
                bases = [x for x in kind.__mro__ if x.__module__.startswith("keras.")]
                if bases and kind is not private.GraphModel:
                    yield kind, bases


def names_used_by(kind):
    """Return the private names of a class and of attributes that its methods use."""
    functions = map(inspect.unwrap, filter(callable, vars(kind).values()))
    code = [each.__code__ for each in functions if hasattr(each, "__code__")]
    names = {*vars(kind), *(name for each in code for name in each.co_names)}
    return set(filter(is_private, names))


def test_no_class_overrides_a_private_name_of_keras():
    """Neither by a method nor by an attribute, except the hooks of `GraphModel`."""
    pairs = list(classes_of_keras())
    assert GenerativeModel in [kind for kind, _ in pairs]
    for kind, bases in pairs:
        overridden = names_used_by(kind) & set().union(*map(names_used_by, bases))
        assert not overridden, (kind, overridden)
