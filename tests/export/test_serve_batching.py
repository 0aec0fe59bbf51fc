import concurrent.futures

import numpy as np
import pytest

from export.server.models import LoadedModel
from tests.export.running_server import requests, running

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def merging(base_dir, tmp_path_factory):
    """A server that waits half a second for requests to merge."""
    window = ("--batch-window-ms", 500, "--max-batch-size", 8)
    directory = tmp_path_factory.mktemp("merging")
    with running(directory, "--base-dir", base_dir, *window) as started:
        yield started


def post_all(server, path, bodies):
    """Send all bodies at once; return the answers."""
    url = f"{server.address}/v1/models/{path}:predict"
    with concurrent.futures.ThreadPoolExecutor(len(bodies)) as pool:
        return list(pool.map(lambda body: requests.post(url, json=body), bodies))


def predictions(answers):
    assert [a.status_code for a in answers] == [200] * len(answers)
    return [answer.json()["predictions"] for answer in answers]


def test_requests_are_merged_up_to_the_largest_batch_size(merging):
    bodies = [{"signature_name": "count", "instances": [0] * n} for n in (3, 2, 4)]
    replies = predictions(post_all(merging, "plain", bodies))
    assert [len(reply) for reply in replies] == [3, 2, 4]
    ran = sorted(reply[0] for reply in replies)
    assert ran in ([3, 6, 6], [4, 5, 5], [2, 7, 7])
    assert predictions(post_all(merging, "plain", bodies[:1])) == [[3, 3, 3]]
    full = [{"signature_name": "count", "instances": [0] * 8}]
    assert predictions(post_all(merging, "plain", full)) == [[8] * 8]


def test_images_are_those_of_a_server_that_does_not_merge(merging, server):
    bodies = [{"instances": [{"seed": 3 * s, "label": s % 3}]} for s in range(8)]
    merged = predictions(post_all(merging, "pixels", bodies))
    alone = [server.predict("pixels", **body) for body in bodies]
    np.testing.assert_array_equal(merged, alone)

    images = [image[0] for image in alone]
    bodies = [
        {"signature_name": "log_prob", "instances": [{"images": i, "label": 0}]}
        for i in images
    ]
    merged = predictions(post_all(merging, "pixels", bodies))
    alone = [server.predict("pixels", **body) for body in bodies]
    for one, other in zip(merged, alone, strict=True):
        for name, value in other[0].items():
            np.testing.assert_allclose(one[0][name], value, rtol=1e-5)


def test_a_signature_with_candidates_has_its_own_limit(merging, base_dir):
    weighted, plain = (
        LoadedModel(str(base_dir / name / "1")) for name in ("candidates", "plain")
    )
    limits = [weighted.max_examples(name) for name in ("complete", "sample", "nope")]
    assert limits == [5, 16, 16]
    assert plain.max_examples("count") is None
    # More examples at a time than one call takes.
    shared = {"images": [[[0] * 3] * 5] * 4, "known": [[0, 1, 0, 1, 0]] * 4, "label": 0}
    bodies = [
        {"signature_name": "complete", "instances": [{**shared, "seed": seed}]}
        for seed in range(7)
    ]
    replies = predictions(post_all(merging, "candidates", bodies))
    assert all(1 <= reply[0]["effective_sample_size"] <= 3 for reply in replies)


def test_a_bad_request_fails_alone(merging):
    bodies = [{"signature_name": "picky", "instances": [v]} for v in (1, -2, 3)]
    answers = post_all(merging, "plain", bodies)
    assert [a.status_code for a in answers] == [200, 400, 200]
    assert answers[1].json()["error"] == "value must not be negative, got [-2]"
    # One by one, after the merged run had failed.
    assert answers[0].json() == answers[2].json() == {"predictions": [1]}


def test_outputs_without_a_batch_axis_are_not_shared(merging):
    bodies = [{"signature_name": "total", "inputs": [v]} for v in (1, 2)]
    answers = post_all(merging, "plain", bodies)
    assert [a.json() for a in answers] == [{"outputs": 1.0}, {"outputs": 2.0}]
