import re
import shlex

import pytest
import yaml
from google.protobuf import text_format

from tests.subprocesses import ROOT

model_server_config_pb2 = pytest.importorskip(
    "tensorflow_serving.config.model_server_config_pb2",
    reason='needs the extra "serving"',
)

from tests.export.images import model_server  # noqa: E402

TF_SERVING = ROOT / "export" / "tf_serving"
KSERVE = ROOT / "export" / "kserve" / "inference_service.yaml"


def read_yaml(path):
    return yaml.safe_load(path.read_text())


@pytest.fixture
def services():
    """The services of compose.yaml."""
    return read_yaml(TF_SERVING / "compose.yaml")["services"]


@pytest.fixture
def flags(services):
    """The server's flags in compose.yaml, which its stand-in must know too."""
    command = services["tf-serving"]["command"]
    command = command.replace("=/config/", f"={TF_SERVING}/")
    return model_server.parse_arguments(shlex.split(command))


@pytest.mark.parametrize(
    "name, labels",
    [("models.config", {}), ("models.labels.config", {"stable": 1, "canary": 2})],
)
def test_models_and_labeled_versions_are_loaded(name, labels):
    config = model_server_config_pb2.ModelServerConfig()
    text_format.Parse((TF_SERVING / name).read_text(), config)
    (model,) = config.model_config_list.config
    # Where the container has them.
    assert model.base_path == f"/models/{model.name}"
    assert model.model_platform == "tensorflow"
    assert dict(model.version_labels) == labels
    assert set(model.model_version_policy.specific.versions) == {*labels.values()}
    assert model.HasField("model_version_policy") == bool(labels)


def test_flags_and_files_of_compose_exist(flags):
    assert flags.model_config_file.is_file()
    assert flags.monitoring_config_file.is_file()


def test_images_are_of_fixed_versions(services):
    (tag,) = re.findall(r":-tensorflow/serving:(2\.\d+\.\d+)}", str(services))
    assert re.search(r":-nginx:1\.\d+\.\d+}", services["proxy"]["image"])
    assert read_yaml(KSERVE)["spec"]["predictor"]["model"]["runtimeVersion"] == tag


def test_only_the_proxy_is_open_and_grpc_on_demand(services):
    assert "ports" not in services["tf-serving"]
    opened = read_yaml(TF_SERVING / "compose.grpc.yaml")["services"]
    assert opened == {"tf-serving": {"ports": ["127.0.0.1:8500:8500"]}}
    assert services["proxy"]["ports"] == ["${LISTEN:-127.0.0.1}:8501:8501"]


def test_time_outs_are_longer_from_the_server_outwards(flags):
    text = (TF_SERVING / "nginx.conf").read_text()
    (proxy,) = re.findall(r"proxy_read_timeout (\d+)s;", text)
    assert 30_000 < flags.rest_api_timeout_in_ms < 1000 * int(proxy)
    predictor = read_yaml(KSERVE)["spec"]["predictor"]
    flags = model_server.parse_arguments(predictor["model"]["args"])
    assert flags.rest_api_timeout_in_ms < 1000 * predictor["timeout"]
