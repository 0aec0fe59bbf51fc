import shutil

import pytest

from keras_genimg.models import VAE
from tests.export.running_server import calling, running, wait_until
from tests.subprocesses import ROOT, run_python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Another VAE than that of `models`."""
    path = tmp_path_factory.mktemp("other") / "1"
    VAE((4, 4, 1), 2, 5).export(path, verbose=False)
    return path


@pytest.fixture(scope="module")
def vae(base_dir):
    """Path of the VAE of `models`."""
    return base_dir / "vae" / "1"


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """A server and its base directory, empty at first."""
    base = tmp_path_factory.mktemp("watched")
    polling = ("--poll-seconds", 0.2, "--label", "labeled:old=1")
    directory = tmp_path_factory.mktemp("watching")
    with running(directory, "--base-dir", base, *polling) as started:
        yield started, base


def publish(source, base, number):
    """Copy a version beside its place, then rename it, as the exporter does."""
    base.mkdir(exist_ok=True)
    shutil.copytree(source, base / f".{number}")
    (base / f".{number}").rename(base / str(number))


def states(server, name):
    answer = server.get(f"/v1/models/{name}").json()
    return {
        int(s["version"]): (s["state"], s["status"]["error_code"])
        for s in answer.get("model_version_status", [])
    }


def wait_for_states(server, name, **expected):
    def as_expected():
        found = {f"v{number}": s for number, (s, _) in states(server, name).items()}
        return {**found, **expected} == found

    try:
        wait_until(as_expected)
    except AssertionError:
        raise AssertionError((states(server, name), server.log)) from None


def test_a_new_version_takes_over_without_a_lost_request(watched, vae, other):
    server, base = watched
    publish(vae, base / "swapped", 1)
    wait_for_states(server, "swapped", v1="AVAILABLE")
    old = server.predict("swapped", instances=[1])
    ask = "swapped:predict", {"instances": [1]}
    with calling(lambda: server.post(*ask)) as replies:
        publish(other, base / "swapped", 12)
        wait_for_states(server, "swapped", v1="END", v12="AVAILABLE")
        more = len(replies) + 3
        wait_until(lambda: len(replies) > more)
    assert {reply.status_code for reply in replies} == {200}
    seen = [reply.json()["predictions"] for reply in replies]
    new = server.predict("swapped", instances=[1])
    assert new != old and seen[0] == old and seen[-1] == new
    assert all(reply in (old, new) for reply in seen)
    assert server.post("swapped/versions/1:predict", {}).status_code == 404

    # Going back, by removing the new one.
    shutil.rmtree(base / "swapped" / "12")
    wait_for_states(server, "swapped", v1="AVAILABLE", v12="END")
    assert server.predict("swapped", instances=[1]) == old


@pytest.mark.parametrize(
    "missing",
    ["saved_model.pb", "variables", "variables/variables.data-00000-of-00001"],
)
def test_a_half_copied_version_is_not_served_until_it_is_whole(
    missing, watched, vae, other
):
    server, base = watched
    model = base / f"half{len(missing)}"
    publish(vae, model, 1)
    wait_for_states(server, model.name, v1="AVAILABLE")
    old = server.predict(model.name, instances=[1])
    away = base.parent / f"away{len(missing)}"
    half = base.parent / f"part{len(missing)}"
    shutil.copytree(other, half)
    (half / missing).rename(away)
    half.rename(model / "2")
    wait_for_states(server, model.name, v1="AVAILABLE", v2="END")
    assert server.predict(model.name, instances=[1]) == old
    (state,) = server.get(f"/v1/models/{model.name}/versions/2").json().values()
    status = state[0]["status"]
    assert status["error_code"] != "OK" and status["error_message"]
    away.rename(model / "2" / missing)
    wait_for_states(server, model.name, v1="END", v2="AVAILABLE")
    assert states(server, model.name)[2][1] == "OK"
    assert server.predict(model.name, instances=[1]) != old


def test_an_older_version_stands_in_for_one_that_was_broken_from_the_start(
    watched, vae, other
):
    server, base = watched
    model = base.parent / "fallback"
    for number in (1, 2, 3):
        publish(vae, model, number)
    (model / "3" / "saved_model.pb").write_bytes(b"garbage")
    model.rename(base / "fallback")
    wait_for_states(server, "fallback", v2="AVAILABLE", v3="END")
    assert sorted(states(server, "fallback")) == [2, 3]
    publish(other, base / "fallback", 4)
    wait_for_states(server, "fallback", v2="END", v4="AVAILABLE")

    # The client tells a version that was unloaded from one that failed.
    client = [ROOT / "export" / "client.py", "--url", server.address]
    printed = run_python(*client, "--model", "fallback", "status")
    lines = dict(line.split(": ", 1) for line in printed.splitlines()[:3])
    assert lines["fallback version 4"] == "AVAILABLE"
    assert lines["fallback version 2"] == "END, unloaded"
    assert lines["fallback version 3"].startswith("END, failed: ")


def test_deleted_versions(watched, vae):
    server, base = watched
    model = base / "deleted"
    publish(vae, model, 3)
    wait_for_states(server, "deleted", v3="AVAILABLE")
    # Only a broken one is left: what is in memory goes on.
    (model / "2").mkdir()
    shutil.rmtree(model / "3")
    wait_for_states(server, "deleted", v3="AVAILABLE", v2="END")
    assert server.predict("deleted", instances=[1])
    shutil.rmtree(model)
    wait_for_states(server, "deleted", v3="END")
    answer = server.post("deleted:predict", {"instances": [1]})
    assert answer.status_code == 404


def test_only_directories_named_by_a_plain_integer_are_versions(watched, vae):
    server, base = watched
    model = base / "named"
    newest = 1764600000000000000  # The time in nanoseconds has 19 digits.
    for name in (f"{newest}", f"{2**63}", ".22", "23.tmp", "v24", "-3", "2_5", "٣"):
        shutil.copytree(vae, model / name)
    (model / "99").touch()
    wait_for_states(server, "named", **{f"v{newest}": "AVAILABLE"})
    assert list(states(server, "named")) == [newest]


def test_a_labeled_version_is_served_beside_the_newest(watched, vae, other):
    server, base = watched
    publish(vae, base / "labeled", 1)
    publish(other, base / "labeled", 2)
    wait_for_states(server, "labeled", v1="AVAILABLE", v2="AVAILABLE")
    ask = {"instances": [1]}
    old = server.predict("labeled/labels/old", **ask)
    assert old == server.predict("labeled/versions/1", **ask)
    assert server.predict("labeled", **ask) != old


def test_all_versions_of_a_model_elsewhere(vae, other, tmp_path):
    publish(vae, tmp_path / "here", 1)
    publish(other, tmp_path / "here", 2)
    served = ("--model", f"mine={tmp_path / 'here'}", "--all-versions")
    with running(tmp_path, *served) as server:
        old, new = (
            server.predict(f"mine{version}", instances=[1])
            for version in ("/versions/1", "/versions/2")
        )
        assert old != new == server.predict("mine", instances=[1])
        assert list(states(server, "mine")) == [2, 1]
        assert server.get("/v1/models/here").status_code == 404
