import re
import shlex

import pytest
import yaml

from tests.subprocesses import ROOT

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from tests.export.images import model_server  # noqa: E402

TF_SERVING = ROOT / "export" / "tf_serving"


def read_yaml(path):
    return yaml.safe_load((ROOT / "export" / path).read_text())


SERVICES = read_yaml("tf_serving/compose.yaml")["services"]
KSERVE = read_yaml("kserve/inference_service.yaml")["spec"]["predictor"]


def flags_of_compose():
    """Return the server's flags, which its stand-in must know too."""
    command = SERVICES["tf-serving"]["command"]
    command = command.replace("=/config/", f"={TF_SERVING}/")
    return model_server.parse_arguments(shlex.split(command))


@pytest.mark.parametrize(
    "name, labels",
    [("models.config", {}), ("models.labels.config", {"stable": 1, "canary": 2})],
)
def test_models_and_labeled_versions_are_loaded(name, labels):
    (model,) = model_server.read_config((TF_SERVING / name).read_text())
    # The container has its models in this folder.
    assert model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    assert dict(model.version_labels) == labels
    assert set(model.model_version_policy.specific.versions) == {*labels.values()}
    assert model.HasField("model_version_policy") == bool(labels)


def test_images_are_of_fixed_versions():
    (tag,) = re.findall(r":-tensorflow/serving:(2\.\d+\.\d+)}", str(SERVICES))
    assert re.search(r":-nginx:1\.\d+\.\d+}", SERVICES["proxy"]["image"])
    assert KSERVE["model"]["runtimeVersion"] == tag


def test_only_the_proxy_is_open_and_grpc_on_demand():
    assert "ports" not in SERVICES["tf-serving"]
    opened = read_yaml("tf_serving/compose.grpc.yaml")["services"]
    assert opened == {"tf-serving": {"ports": ["127.0.0.1:8500:8500"]}}
    assert SERVICES["proxy"]["ports"] == ["${LISTEN:-127.0.0.1}:8501:8501"]


def test_files_of_flags_exist_and_outer_time_outs_are_longer():
    text = (TF_SERVING / "nginx.conf").read_text()
    (proxy,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    flags = flags_of_compose()
    assert flags.model_config_file.is_file()
    assert flags.monitoring_config_file.is_file()
    assert 30_000 < flags.rest_api_timeout_in_ms < 1000 * int(proxy)
    flags = model_server.parse_arguments(KSERVE["model"]["args"])
    assert flags.rest_api_timeout_in_ms < 1000 * KSERVE["timeout"]
