import concurrent.futures
import socket
import time

import psutil
import pytest

from tests.export.running_server import calling, requests, running

pytestmark = pytest.mark.slow

FOREVER = {"signature_name": "spin", "instances": [2**60]}


def running_small(base_dir, directory):
    """Run a server that computes one request and lets one wait, for 2 seconds."""
    models = [f"--model={name}={base_dir / name}" for name in ("plain", "vae")]
    limits = ("--max-concurrent", 1, "--max-queued", 1, "--timeout", 2)
    return running(directory, *models, "--max-body-bytes", 1000, *limits)


@pytest.fixture(scope="module")
def small(base_dir, tmp_path_factory):
    with running_small(base_dir, tmp_path_factory.mktemp("small")) as started:
        yield started


def test_a_request_that_takes_too_long_is_given_up(small):
    start = time.monotonic()
    answer = small.post("plain:predict", FOREVER)
    took = time.monotonic() - start
    assert answer.status_code == 504, answer.text
    assert "Timed out after 2 s" in answer.json()["error"]
    assert 1.5 < took < 5
    # Its work has ended too.
    time.sleep(0.5)
    process = psutil.Process(small.process.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(1)
    assert sum(process.cpu_times()[:2]) - before < 0.5
    assert small.predict("vae", instances=[1])


def test_requests_above_the_limit_are_told_to_come_back(small):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        waiting = [pool.submit(small.post, "plain:predict", FOREVER) for _ in range(2)]
        time.sleep(1)
        refused = small.post("vae:predict", {"instances": [1]})
        # The event loop is free meanwhile.
        assert small.get("/v1/models/vae").status_code == 200
        assert [w.result().status_code for w in waiting] == [504, 504]
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "1"
    assert "2 requests are in progress" in refused.json()["error"]
    assert small.post("vae:predict", {"instances": [1]}).status_code == 200


def test_bodies_over_the_limit_never_lie_in_memory(small):
    def pieces():
        for _ in range(100):
            yield b"0" * 2**20

    memory_info = psutil.Process(small.process.pid).memory_info
    before, url = memory_info().rss, f"{small.address}/v1/models/vae:predict"
    with calling(lambda: memory_info().rss) as memory:
        answer = requests.post(url, data=pieces(), timeout=60)
    assert answer.status_code == 413, answer.text
    assert (
        f"has {100 * 2**20} bytes or more, and at most 1000" in answer.json()["error"]
    )
    assert max(memory) < before + 20 * 2**20


def test_clients_that_leave_do_no_harm(small):
    host, port = small.address.removeprefix("http://").split(":")
    head = (
        b"POST /v1/models/vae:predict HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n\r\n"
    )
    for sent in (b"POST /v1", b"garbage\r\n\r\n", head, head + b'{"insta'):
        with socket.create_connection((host, int(port))) as client:
            client.sendall(sent)
    time.sleep(0.2)
    assert small.predict("vae", instances=[1])
    assert "Traceback" not in small.log


def test_sigterm_lets_requests_finish(base_dir, tmp_path):
    with (
        running_small(base_dir, tmp_path) as server,
        concurrent.futures.ThreadPoolExecutor() as pool,
    ):
        waiting = pool.submit(server.post, "plain:predict", FOREVER)
        time.sleep(1)
        server.process.terminate()
        assert waiting.result().status_code == 504
        assert server.process.wait(timeout=10) in (0, -15)
        assert "Traceback" not in server.log
