"""The README's Docker commands, on an engine.

They use the official images if the engine has them, or the images named by the
environment variables TF_SERVING_IMAGE and NGINX_IMAGE; see images/Dockerfile.
"""

import os
import re
import shutil
import subprocess

import numpy as np
import pytest

from keras_genimg.models import VAE
from keras_genimg.serving import publish
from tests.export.running_server import calling, listens, requests, wait_until
from tests.subprocesses import ROOT

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from genimg_export.clients import ClientError, ImageClient  # noqa: E402
from genimg_export.clients.grpc import GrpcModel  # noqa: E402
from genimg_export.clients.rest import RestModel  # noqa: E402

README = (ROOT / "export" / "README.md").read_text()
TF_SERVING = ROOT / "export" / "tf_serving"
COMPOSE = "docker compose -f export/tf_serving/compose.yaml"
PORTS = (8500, 8501)
SEEDS = range(40, 44)

pytestmark = pytest.mark.slow


def official(variable):
    """Return the image that compose.yaml uses if a variable is not set."""
    text = (TF_SERVING / "compose.yaml").read_text()
    return re.search(rf"\$\{{{variable}:-(\S+)\}}", text)[1]


IMAGES = {
    name: os.environ.get(name, official(name))
    for name in ("TF_SERVING_IMAGE", "NGINX_IMAGE")
}


def commands(word):
    """Return the commands of export/README.md that contain a word."""
    lines = re.findall(r"`([^`\n]*\bdocker [^`\n]+)`|^(docker .+)$", README, re.M)
    return [line for pair in lines for line in pair if word in line]


class Checkout:
    """A directory with all files that the README's commands name."""

    def __init__(self, directory):
        self.directory = directory
        self.config = directory / "export" / "tf_serving"
        shutil.copytree(TF_SERVING, self.config)
        self.served = directory / "outputs" / "served"
        self.models = {}

    def publish(self):
        """Publish one more version of `digits`; return its number."""
        model = VAE((4, 4, 1), 2, 4)
        path = publish(model, self.served, "digits", batch_sizes=(1, 8), verbose=False)
        self.models[int(path.name)] = model
        return int(path.name)

    def expected(self, version):
        return images_of(self.models[version])

    def run(self, command):
        """Run a command line in a shell; return what it prints."""
        done = subprocess.run(
            ["bash", "-c", command],
            cwd=self.directory,
            env={**os.environ, **IMAGES},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def images_of(model):
    return model.likelihood.to_display(model.generate(len(SEEDS), seed=SEEDS[0]))


def draw(connect=RestModel, address="http://127.0.0.1:8501", **which):
    return ImageClient(connect(address, "digits", **which)).sample(SEEDS)


def draws(images, **which):
    """Whether the server draws these images, and does not refuse to."""
    try:
        return np.array_equal(draw(**which), images)
    except ClientError:
        return False


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    if not shutil.which("docker"):
        pytest.skip("needs docker")
    for image in IMAGES.values():
        look = ["docker", "image", "inspect", image]
        if subprocess.run(look, capture_output=True, timeout=60).returncode:
            pytest.skip(f"needs a Docker engine that has the image {image}")
    for port in PORTS:
        if listens(port):
            pytest.skip(f"needs port {port}, where something else listens")
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.publish()
    try:
        yield made
    finally:
        made.run(f"{COMPOSE} down --timeout 5")


@pytest.fixture
def compose(checkout):
    """`checkout` with the README's first Docker command run."""
    up = f"{COMPOSE} up -d"
    assert up in commands("compose")
    checkout.run(f"{up} --wait")
    newest = checkout.expected(max(checkout.models))
    wait_until(lambda: draws(newest))
    return checkout


def test_draws_by_rest_and_grpc(compose):
    newest = max(compose.models)
    expected = compose.expected(newest)
    np.testing.assert_array_equal(draw(version=newest), expected)
    assert not listens(8500)
    (opened,) = commands("compose.grpc.yaml")
    compose.run(f"{opened} --wait")
    wait_until(lambda: draws(expected))
    by_grpc = draw(GrpcModel, "127.0.0.1:8500", version=newest)
    np.testing.assert_array_equal(by_grpc, expected)


def test_only_the_proxy_answers(compose):
    ports = compose.run(f"{COMPOSE} ps --format '{{{{.Ports}}}}'")
    assert set(re.findall(r"(\S+)->", ports)) == {"127.0.0.1:8501"}
    url = "http://127.0.0.1:8501"
    reply = requests.get(f"{url}/monitoring/prometheus/metrics", timeout=60)
    assert reply.status_code == 404
    assert "serves only" in reply.json()["error"]
    path = "v1/models/digits:predict"
    reply = requests.post(f"{url}/{path}", data="[" * 20_000, timeout=60)
    assert reply.status_code == 400
    assert "at most 32 levels" in reply.json()["error"]


def test_a_new_version_takes_over_and_no_request_is_lost(compose):
    old = compose.expected(max(compose.models))
    with calling(draw, threads=4) as drawn:
        new = compose.expected(compose.publish())
        wait_until(lambda: draws(new))
    is_new = [np.array_equal(images, new) for images in drawn]
    assert any(is_new) and not all(is_new)
    for images, of_new in zip(drawn, is_new, strict=True):
        np.testing.assert_array_equal(images, new if of_new else old)


def test_labels_a_canary_and_a_roll_back(compose):
    if len(compose.models) < 2:
        compose.publish()
    first, second = compose.expected(1), compose.expected(2)
    config = compose.config / "models.config"
    plain = config.read_text()
    (copy,) = re.findall(r"`(cp \S+labels\S+ \S+)`", README)
    compose.run(copy)
    try:
        wait_until(lambda: draws(second, label="canary"), seconds=60)
        wait_until(lambda: draws(first, label="stable"), seconds=60)
        labeled = config.read_text()
        promoted = re.sub(r'(key: "stable"\s+value:) 1', r"\1 2", labeled)
        for text, expected in ((promoted, second), (labeled, first)):
            config.write_text(text)
            wait_until(lambda e=expected: draws(e, label="stable"), seconds=60)
    finally:
        config.write_text(plain)


def test_models_elsewhere(compose, tmp_path):
    (command,) = commands("MODELS_DIR")
    model = VAE((4, 4, 1), 2, 4)
    # The proxy is not root, and pytest lets only the owner read tmp_path itself.
    models_dir = tmp_path / "models"
    publish(model, models_dir, "digits", verbose=False)
    command = command.replace("/srv/models", str(models_dir))
    compose.run(f"{command} --wait")
    images = images_of(model)
    wait_until(lambda: draws(images))


def test_one_model_and_no_proxy(checkout):
    checkout.run(f"{COMPOSE} down --timeout 5")
    (command,) = commands("docker run")
    command = command.replace(official("TF_SERVING_IMAGE"), IMAGES["TF_SERVING_IMAGE"])
    name = "keras-genimg-one-model"
    checkout.run(command.replace("docker run", f"docker run --detach --name {name}"))
    try:
        newest = checkout.expected(max(checkout.models))
        wait_until(lambda: draws(newest))
    finally:
        checkout.run(f"docker stop --time 5 {name}")
