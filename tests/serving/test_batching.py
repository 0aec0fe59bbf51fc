import pathlib
import pickle

import keras
import pytest
import tensorflow as tf

from keras_genimg.models import MultiScalePixelRNN, PixelRNN
from keras_genimg.serving import Endpoint, Input, verify
from keras_genimg.serving.verification import c_api
from keras_genimg.serving.verification.clean_process import Request, serve
from keras_genimg.serving.verification.comparison import different_bits
from keras_genimg.serving.verification.probes import random_inputs
from keras_genimg.serving.verification.saved_graph import SavedGraph
from tests.serving import all_at_once
from tests.subprocesses import run_python

MODELS = {
    "digits": lambda: PixelRNN((3, 4, 1), 4, 1, layer="row", likelihood="categorical"),
    "scales": lambda: MultiScalePixelRNN((4, 4, 1), ((2, 2), (4, 4)), 4, 1),
}


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return paths of SavedModels by name, with and without batching."""
    folder = tmp_path_factory.mktemp("exported")
    for name, make in MODELS.items():
        keras.utils.set_random_seed(0)
        model = make()
        model.export(folder / name, batching=True, verbose=False)
        model.export(folder / f"{name}_alone", verbose=False)
    return {path.name: path for path in folder.iterdir()}


@pytest.fixture(scope="module")
def requests(exported):
    """Return requests to all signatures with the outputs of the unmerged ones.

    A list of the directory, the `Request` and the outputs by name.
    """
    found = []
    for name in MODELS:
        path, alone = exported[name], exported[f"{name}_alone"]
        graph = SavedGraph(path)
        sent = [
            Request(signature, random_inputs(signature, size, size))
            for signature in graph.plain_signatures
            for size in (1, 2)
        ]
        graph_alone = SavedGraph(alone)
        sent_alone = [
            Request(graph_alone.signatures[r.signature.name], r.inputs) for r in sent
        ]
        _, outcomes = serve(alone, graph.tags, sent_alone, timeout=100)
        found += [
            (str(path), request, outcome.outputs)
            for request, outcome in zip(sent, outcomes, strict=True)
        ]
    return found


def check_results(requests, results):
    wrong = 0
    for (_, request, expected), found in zip(requests, results, strict=True):
        assert len(found) == all_at_once.REPEATS
        for arrays in found:
            got = dict(zip(request.signature.outputs, arrays, strict=True))
            wrong += different_bits(expected, got) is not None
    assert wrong == 0, f"{wrong} of {len(results) * all_at_once.REPEATS} are wrong"


@pytest.mark.slow
def test_all_signatures_of_two_models_at_once_through_the_c_api(requests, tmp_path):
    work, results = tmp_path / "work", tmp_path / "results"
    work.write_bytes(pickle.dumps([(path, *r.work) for path, r, _ in requests]))
    folder = pathlib.Path(c_api.__file__).parent
    run_python(all_at_once.__file__, work, results, PYTHONPATH=str(folder))
    check_results(requests, pickle.loads(results.read_bytes()))


@pytest.mark.slow
def test_each_signature_has_a_queue_of_its_own(exported):
    found = SavedGraph(exported["scales"]).queues()
    names = [users for functions in found.values() for users in functions.values()]
    assert sorted(names) == [
        ["complete"],
        ["enlarge"],
        ["sample", "serving_default"],
        ["sample_png"],
        ["sample_with_temperature"],
    ]
    assert all(len(functions) == 1 for functions in found.values())
    content = {queue.partition("/")[0] for queue in found}
    others = SavedGraph(exported["digits"]).queues()
    assert len(content) == 1
    assert not content & {queue.partition("/")[0] for queue in others}
    assert not SavedGraph(exported["scales_alone"]).queues()
    unmerged = tf.saved_model.load(str(exported["scales"])).unmerged
    assert {name for (name, *_) in names} == set(unmerged)


def counter(queue, max_examples=4, steps=200):
    """Return a function that returns how many examples ran together, and its input."""

    def run(x):
        step = tf.constant(0)
        _, work = tf.while_loop(
            lambda step, _: step < steps,
            lambda step, work: (step + 1, work @ work),
            (step, tf.ones((64, 64)) / 64),
        )
        size = tf.size(x) + tf.cast(0 * work[0, 0], tf.int32)
        return {"size": tf.fill((tf.size(x),), size), "x": x}

    given = Input(tf.TensorSpec((None,), tf.int32), low=0)
    return Endpoint(run, {"x": given}, mergeable=True).concrete(max_examples, queue)


def test_requests_are_merged_up_to_the_limit_of_one_and_refused_alone():
    function = counter("test_merged")
    wrong = tf.errors.InvalidArgumentError

    def run(x):
        try:
            outputs = function(x=tf.constant(x, tf.int32))
            return outputs["size"].numpy(), outputs["x"].numpy().tolist()
        except wrong as error:
            return error

    refused = ([-1], [], [0] * 5)
    requests = [([x],) for x in range(6)] + [([6, 7],)] + [(x,) for x in refused]
    *results, negative, empty, large = all_at_once.run_at_once(run, requests)
    sizes = []
    for (given,), found in zip(requests, results, strict=False):
        for size, x in found:
            assert x == given and len(set(size.tolist())) == 1
            sizes.append(size[0])
    assert 1 < max(sizes) <= 4
    assert all("x must be integers of at least 0" in str(e) for e in negative)
    assert all("1 to 4 examples" in str(error) for error in empty + large)


@pytest.mark.slow
def test_verify_refuses_two_functions_with_one_queue(tmp_path):
    one, two = counter("same"), counter("same")
    other = counter("other")
    tf.saved_model.save(
        tf.Module(), str(tmp_path / "1"), {"one": one, "two": two, "other": other}
    )
    report = verify(tmp_path / "1", verbose=False)
    (fault,) = [c.message for c in report.checks if not c.passed and c.name == "graph"]
    assert "one, two" in fault and "'same'" in fault and "other, " not in fault
    tf.saved_model.save(tf.Module(), str(tmp_path / "2"), {"one": one, "other": other})
    report = verify(tmp_path / "2", verbose=False)
    assert [c for c in report.checks if c.name == "graph"][0].passed, report
