import pathlib

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from keras_genimg.serving.canonical import make_canonical

SPEC = tf.TensorSpec((None,), tf.float32, name="x")


class Module(tf.Module):
    """A loop, a branch and a gradient, with names that hold counters."""

    def __init__(self):
        super().__init__()
        self.scale = tf.Variable(3.0, name="scale_7")

    @tf.function(input_signature=[SPEC])
    def run(self, x):
        @tf.custom_gradient
        def doubled(value):
            return 2 * value, lambda upstream: 5 * upstream

        def body(step, value):
            value = tf.cond(step > 1, lambda: value + 1, lambda: value * self.scale)
            return step + 1, value

        _, value = tf.while_loop(lambda step, _: step < 4, body, (0, x))
        return {"value": doubled(value), "name": tf.constant([b"run_1", b"\xff_2"])}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """Return the values of a function, and folders where it was saved twice."""
    folder = tmp_path_factory.mktemp("saved")
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    paths = []
    for name in ("first", "second"):
        module = Module()  # Traced anew, with higher counters.
        paths.append(str(folder / name))
        tf.saved_model.save(module, paths[-1], {"run": module.run}, options)
        make_canonical(paths[-1])
    return module.run(tf.constant([1.0, 2.0])), paths


def test_equal_models_have_equal_bytes(saved):
    _, paths = saved
    first, second = (pathlib.Path(path, "saved_model.pb") for path in paths)
    assert first.read_bytes() == second.read_bytes()


def test_computes_what_it_did(saved, tmp_path):
    expected, (path, _) = saved
    x = tf.constant([1.0, 2.0])
    loaded = tf.saved_model.load(path)
    tf.saved_model.save(loaded, str(tmp_path / "again"), loaded.signatures)
    for model in (loaded, tf.saved_model.load(str(tmp_path / "again"))):
        for outputs in (model.run(x), model.signatures["run"](x=x)):
            np.testing.assert_array_equal(outputs["value"], expected["value"])
            assert list(outputs["name"].numpy()) == [b"run_1", b"\xff_2"]


def test_a_new_name_may_be_the_old_one_of_another_function(tmp_path):
    saved = saved_model_pb2.SavedModel()
    graph = saved.meta_graphs.add()
    for name in ("f_1", "f_0"):  # In the order of their use.
        graph.graph_def.node.add(op=name)
        graph.graph_def.library.function.add().signature.name = name
        function = graph.object_graph_def.concrete_functions[name]
        function.bound_inputs.append(int(name[-1]))
    file = tmp_path / "saved_model.pb"
    file.write_bytes(saved.SerializeToString())
    make_canonical(tmp_path)
    saved.ParseFromString(file.read_bytes())
    functions = saved.meta_graphs[0].object_graph_def.concrete_functions
    found = {name: list(each.bound_inputs) for name, each in functions.items()}
    assert found == {"f_0": [1], "f_1": [0]}


def test_gradients_that_were_not_saved_are_refused(saved):
    """Rather than looked up by a number that another gradient may have."""
    loaded = tf.saved_model.load(saved[1][0])
    x = tf.constant([1.0, 2.0])
    with pytest.raises(LookupError, match="No gradient defined"):
        with tf.GradientTape() as tape:
            tape.watch(x)
            value = loaded.signatures["run"](x=x)["value"]
        tape.gradient(value, x)
