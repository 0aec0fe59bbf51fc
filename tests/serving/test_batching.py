import concurrent.futures
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from genimg_export.comparison import close, difference
from genimg_export.probes import random_inputs
from genimg_export.saved_graph import SavedGraph
from genimg_export.verifying import check_graph
from keras_genimg.likelihoods import DiscretizedLogisticMixture
from keras_genimg.models import VAE, MultiScalePixelRNN, PixelCNN, PixelRNN
from keras_genimg.serving import Endpoint, Input, write_saved_model
from tests.serving.some_endpoints import write_endpoints


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return paths of SavedModels with batching by name."""
    folder = tmp_path_factory.mktemp("exported")
    keras.utils.set_random_seed(0)
    vae = VAE((3, 4, 1), 2, 3)
    write_endpoints(vae, folder / "vae", "sample", "decode", batching=True)
    scales = MultiScalePixelRNN((4, 4, 1), ((2, 2), (4, 4)), 4, 1)
    names = ("sample", "sample_png", "complete", "enlarge")
    write_endpoints(scales, folder / "scales", *names, batching=True)
    vae.set_weights([weight + 1 for weight in vae.get_weights()])
    write_endpoints(vae, folder / "newer_vae", "sample", "decode", batching=True)
    return {name: folder / name for name in ("vae", "scales", "newer_vae")}


def session_of(path):
    """Return a session that has loaded a SavedModel, as a server has."""
    session = tf.compat.v1.Session(graph=tf.Graph())
    with session.graph.as_default():
        tf.compat.v1.saved_model.load(session, ["serve"], str(path))
    return session


def run_at_once(run, requests):
    """Call `run(*request)` of each request in a thread, eight times.

    Returns:
        For each request, a list of what `run` returned.
    """

    def client(request):
        return [run(*request) for _ in range(8)]

    with concurrent.futures.ThreadPoolExecutor(len(requests)) as pool:
        return list(pool.map(client, requests))


@pytest.mark.slow
def test_merged_signatures_of_models_versions_and_copies_at_once(exported):
    """Each request gets the outputs of the unmerged signature."""
    requests, expected = [], []
    for path in (*exported.values(), exported["vae"]):
        session, signatures = session_of(path), SavedGraph(path).signatures
        unmerged = tf.saved_model.load(str(path)).unmerged
        for name, function in unmerged.items():
            signature = signatures[name]
            outputs = {key: spec.name for key, spec in signature.outputs.items()}
            for size in (1, 2):
                inputs = random_inputs(signature, size, seed=size)
                given = {signature.inputs[k].name: v for k, v in inputs.items()}
                requests.append((session, outputs, given))
                given = {k: tf.constant(v) for k, v in inputs.items()}
                expected.append({k: v.numpy() for k, v in function(**given).items()})
    served = run_at_once(tf.compat.v1.Session.run, requests)
    # A mean can be rounded to another integer among other requests.
    wrong = sum(
        difference(outputs, got, close) is not None
        for outputs, found in zip(expected, served, strict=True)
        for got in found
    )
    assert wrong == 0, f"{wrong} of {8 * len(served)} are wrong"


@pytest.mark.slow
def test_each_signature_has_a_queue_of_its_own(exported):
    found = SavedGraph(exported["scales"]).queues()
    names = [users for functions in found.values() for users in functions.values()]
    sample = ["sample", "serving_default"]
    assert sorted(names) == [["complete"], ["enlarge"], sample, ["sample_png"]]
    assert all(len(functions) == 1 for functions in found.values())


@pytest.mark.slow
def test_versions_of_a_model_share_no_queue(tmp_path):
    """Also those with the same weights, of which both have the same signatures."""
    model = VAE((3, 4, 1), 2, 3)
    for name in ("1", "2"):
        write_endpoints(model, tmp_path / name, "sample", batching=True)
    first, second = (SavedGraph(tmp_path / name).queues() for name in ("1", "2"))
    assert len(first) == len(second) == 1
    assert not first.keys() & second.keys()


NETWORKS = {
    "several rows at once": lambda: PixelRNN(
        (12, 12, 1), 8, 2, layer="row", first_kernel_size=3
    ),
    "several rows at once, color": lambda: PixelCNN(
        (12, 12, 3),
        12,
        2,
        first_kernel_size=3,
        likelihood=DiscretizedLogisticMixture(8, 2),
    ),
    "row by row": lambda: PixelRNN((6, 6, 1), 8, 2),
    "row by row, wide kernel": lambda: PixelCNN((6, 6, 1), 8, 2),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_a_session_draws_batches_of_any_size(name, tmp_path):
    """It optimizes the graph in another way than a function does."""
    model = NETWORKS[name]()
    path = tmp_path / "exported"
    write_endpoints(model, path, "sample", max_examples=32, batching=True)
    expected = model.likelihood.to_display(model.generate(30, seed=0, verbose=0))
    sample = SavedGraph(path).signatures["sample"]
    with session_of(path) as session:
        for count in (1, 2, 30):
            seeds = {sample.inputs["seed"].name: np.arange(count)}
            images = session.run(sample.outputs["images"].name, seeds)
            np.testing.assert_array_equal(images, expected[:count])


@pytest.mark.slow
def test_signatures_with_like_names_have_queues_of_their_own(tmp_path):
    model = VAE((3, 4, 1), 2, 3)
    sample = model.endpoints(model.image_shape)["sample"]
    endpoints = {name: sample for name in ("sample", "a/sample", "b/sample")}
    write_saved_model(model, tmp_path / "1", endpoints, 4, batching=True, verbose=False)
    assert len(SavedGraph(tmp_path / "1").queues()) == 3


def counter(queue, **options):
    """Return a function that returns how many examples ran together, and its input."""

    def run(x):
        step = tf.constant(0)
        _, work = tf.while_loop(
            lambda step, _: step < 200,
            lambda step, work: (step + 1, work @ work),
            (step, tf.ones((64, 64)) / 64),
        )
        size = tf.size(x) + tf.cast(0 * work[0, 0], tf.int32)
        return {"size": tf.fill((tf.size(x),), size), "x": x}

    given = Input(tf.TensorSpec((None,), tf.int32), low=0)
    return Endpoint(run, {"x": given}, mergeable=True, **options).concrete(4, queue)


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
    *results, negative, empty, large = run_at_once(run, requests)
    sizes = []
    for (given,), found in zip(requests, results, strict=False):
        for size, x in found:
            assert x == given and len(set(size.tolist())) == 1
            sizes.append(size[0])
    assert 1 < max(sizes) <= 4
    assert all("x must be integers of at least 0" in str(e) for e in negative)
    assert all("1 to 4 examples" in str(error) for error in empty + large)


@pytest.mark.parametrize("queue", [None, "test_few"])
def test_few_examples_are_computed_one_by_one_where_that_is_faster(queue):
    function = counter(queue, few_apart=True)
    for together in ([1], [1] * 2, [1] * 3, [4] * 4):
        x = list(range(len(together)))
        outputs = function(x=tf.constant(x, tf.int32))
        assert outputs["size"].numpy().tolist() == together
        assert outputs["x"].numpy().tolist() == x


def test_few_images_of_models_that_guess_rows_are_computed_one_by_one():
    model = PixelCNN((4, 4, 1), 4, 1)
    found = model.endpoints(model.image_shape)
    apart = {name for name, endpoint in found.items() if endpoint.few_apart}
    drawing = {"sample", "sample_png", "sample_with_temperature", "complete"}
    assert apart == drawing
    found = model.endpoints(model.image_shape, num_candidates=2)
    assert found["sample"].few_apart and not found["complete"].few_apart
    found = model.endpoints(model.image_shape, jit_compile=True)
    assert not any(endpoint.few_apart for endpoint in found.values())
    color = PixelCNN((4, 4, 3), 6, 1)  # Has no quicker way for single images.
    found = color.endpoints(color.image_shape)
    assert not any(endpoint.few_apart for endpoint in found.values())


def test_two_functions_with_one_queue_are_a_fault(tmp_path):
    queues = {"one": "same", "two": "same", "other": "other"}
    functions = {name: counter(queue) for name, queue in queues.items()}
    tf.saved_model.save(tf.Module(), str(tmp_path), functions)
    (fault,), _ = check_graph(SimpleNamespace(graph=SavedGraph(tmp_path)))
    assert fault.startswith("one, two merge") and "'same'" in fault
