import asyncio
import json

import pytest

pytest.importorskip("starlette", reason='needs the extra "serving"')
from genimg_export.server.hosts import HostCheck  # noqa: E402


def status(*hosts, listens_on="127.0.0.1", allowed=()):
    """Return the status of a request with these headers, and the reply's text."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    async def send(message):
        sent.append(message)

    headers = [(b"host", host.encode()) for host in hosts]
    scope = {"type": "http", "method": "GET", "path": "/", "headers": headers}
    asyncio.run(HostCheck(app, listens_on, allowed)(scope, None, send))
    return sent[0]["status"], json.loads(sent[1]["body"]).get("error")


@pytest.mark.parametrize(
    "host",
    "localhost LocalHost:80 127.0.0.1 127.0.0.1:80 127.8.9.1:1 [::1] [::1]:80".split(),
)
def test_loopback_hosts_are_accepted(host):
    assert status(host) == (200, None)


@pytest.mark.parametrize(
    "host",
    [
        "rebound.example",
        "rebound.example:8501",
        "127.0.0.1.rebound.example",
        "localhost.rebound.example",
        "rebound.example:80@localhost",
        "localhost@rebound.example",
        "192.168.1.5:8501",
        "0.0.0.0",
        "[::2]",
        "localhost:80:80",
        "*",
        "",
        "ä",
    ],
)
def test_other_hosts_are_refused(host):
    code, error = status(host)
    assert code == 403
    assert repr(host.encode().decode("latin-1")) in error
    assert "127.0.0.1, localhost" in error and "--allowed-host" in error


def test_a_request_needs_a_host_and_all_count():
    assert status()[0] == 403
    assert status("localhost", "rebound.example")[0] == 403


def test_the_host_that_it_listens_on_and_allowed_ones_are_accepted():
    names = {"listens_on": "Laptop.lan", "allowed": ("proxy", "10.0.0.1")}
    for host in ("laptop.lan:8501", "localhost", "PROXY", "10.0.0.1:80"):
        assert status(host, **names)[0] == 200
    for host in ("laptop.lan.example", "10.0.0.2", "rebound.example"):
        assert status(host, **names)[0] == 403
    assert status("rebound.example", allowed=("*",))[0] == 200


@pytest.mark.parametrize("listens_on", ["0.0.0.0", "::"])
def test_on_all_addresses_any_address_is_accepted(listens_on):
    for host in ("192.168.1.5:8501", "[fe80::1]:8501", "localhost"):
        assert status(host, listens_on=listens_on)[0] == 200
    assert status("rebound.example", listens_on=listens_on)[0] == 403
