import shutil

import pytest

from keras_genimg.models import VAE
from tests.export.running_server import calling, running, wait_until
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def vae(base_dir):
    """Path of the VAE of `models`."""
    return base_dir / "vae" / "1"


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Path of another VAE."""
    path = tmp_path_factory.mktemp("other") / "1"
    VAE((4, 4, 1), 2, 5).export(path, verbose=False)
    return path


class Watched:
    """A model whose directory is watched by a server, and is not there at first."""

    def __init__(self, server, path):
        self.server, self.path = server, path

    def ask(self, version=""):
        return self.server.predict(f"{self.path.name}{version}", instances=[1])

    def publish(self, source, number):
        """Copy a version beside its place, then rename it, as the exporter does."""
        self.path.mkdir(exist_ok=True)
        hidden = shutil.copytree(source, self.path / f".{number}")
        hidden.rename(self.path / str(number))
        self.wait_for({number: "AVAILABLE"})

    def statuses(self):
        answer = self.server.get(f"/v1/models/{self.path.name}").json()
        found = answer.get("model_version_status", [])
        return {int(version.pop("version")): version for version in found}

    def states(self):
        return {number: status["state"] for number, status in self.statuses().items()}

    def wait_for(self, states):
        """Wait until versions have these states."""
        try:
            wait_until(lambda: states.items() <= self.states().items())
        except AssertionError:
            raise AssertionError((self.statuses(), self.server.log)) from None


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """Function that returns a model by name."""
    base = tmp_path_factory.mktemp("watched")
    polling = ("--poll-seconds", 0.2, "--label", "labeled:old=1")
    directory = tmp_path_factory.mktemp("watching")
    with running(directory, "--base-dir", base, *polling) as started:
        yield lambda name: Watched(started, base / name)


def test_a_new_version_takes_over_without_a_lost_request(watched, vae, other):
    model = watched("swapped")
    model.publish(vae, 1)
    old = model.ask()
    with calling(model.ask) as seen:
        model.publish(other, 12)
        model.wait_for({1: "END"})
        more = len(seen) + 3
        wait_until(lambda: len(seen) > more)
    new = model.ask()
    assert new != old and seen[0] == old and seen[-1] == new
    assert all(reply in (old, new) for reply in seen)
    assert model.server.post("swapped/versions/1:predict", {}).status_code == 404

    # Going back, by removing the new one.
    shutil.rmtree(model.path / "12")
    model.wait_for({1: "AVAILABLE", 12: "END"})
    assert model.ask() == old


@pytest.mark.parametrize(
    "missing",
    ["saved_model.pb", "variables", "variables/variables.data-00000-of-00001"],
)
def test_a_half_copied_version_is_not_served_until_it_is_whole(
    missing, watched, vae, other, tmp_path
):
    model = watched(f"half{len(missing)}")
    model.publish(vae, 1)
    old = model.ask()
    half = shutil.copytree(other, tmp_path / "half")
    (half / missing).rename(tmp_path / "away")
    half.rename(model.path / "2")
    model.wait_for({1: "AVAILABLE", 2: "END"})
    assert model.ask() == old
    status = model.statuses()[2]["status"]
    assert status["error_code"] != "OK" and status["error_message"]
    (tmp_path / "away").rename(model.path / "2" / missing)
    model.wait_for({1: "END", 2: "AVAILABLE"})
    assert model.statuses()[2]["status"]["error_code"] == "OK"
    assert model.ask() != old


def test_an_older_version_stands_in_for_one_that_was_broken_from_the_start(
    watched, vae, other, tmp_path
):
    model = watched("fallback")
    for number in (1, 2, 3):
        shutil.copytree(vae, tmp_path / "all" / str(number))
    (tmp_path / "all" / "3" / "saved_model.pb").write_bytes(b"garbage")
    (tmp_path / "all").rename(model.path)
    model.wait_for({2: "AVAILABLE", 3: "END"})
    assert set(model.states()) == {2, 3}
    model.publish(other, 4)
    model.wait_for({2: "END"})

    # The client tells a version that was unloaded from one that failed.
    client = ["-m", "genimg_export.client", "--url", model.server.address]
    printed = run_python(*client, "--model", "fallback", "status")
    lines = dict(line.split(": ", 1) for line in printed.splitlines()[:3])
    assert lines["fallback version 4"] == "AVAILABLE"
    assert lines["fallback version 2"] == "END, unloaded"
    assert lines["fallback version 3"].startswith("END, failed: ")


def test_deleted_versions(watched, vae):
    model = watched("deleted")
    model.publish(vae, 3)
    # Only a broken one is left: what is in memory goes on.
    (model.path / "2").mkdir()
    shutil.rmtree(model.path / "3")
    model.wait_for({3: "AVAILABLE", 2: "END"})
    assert model.ask()
    shutil.rmtree(model.path)
    model.wait_for({3: "END"})
    answer = model.server.post("deleted:predict", {"instances": [1]})
    assert answer.status_code == 404


def test_only_directories_named_by_a_plain_integer_are_versions(watched, vae):
    model = watched("named")
    newest = 1764600000000000000  # The time in nanoseconds has 19 digits.
    for name in (f"{newest}", f"{2**63}", ".22", "23.tmp", "v24", "-3", "2_5", "٣"):
        shutil.copytree(vae, model.path / name)
    (model.path / "99").touch()
    model.wait_for({newest: "AVAILABLE"})
    assert set(model.states()) == {newest}


def test_a_labeled_version_is_served_beside_the_newest(watched, vae, other):
    model = watched("labeled")
    model.publish(vae, 1)
    model.publish(other, 2)
    old = model.ask("/labels/old")
    assert old == model.ask("/versions/1") != model.ask()


def test_all_versions_of_a_model_elsewhere(vae, other, tmp_path):
    shutil.copytree(vae, tmp_path / "here" / "1")
    shutil.copytree(other, tmp_path / "here" / "2")
    served = ("--model", f"mine={tmp_path / 'here'}", "--all-versions")
    with running(tmp_path, *served) as server:
        model = Watched(server, tmp_path / "mine")
        assert model.ask("/versions/1") != model.ask("/versions/2") == model.ask()
        assert list(model.states()) == [2, 1]
        assert server.get("/v1/models/here").status_code == 404
