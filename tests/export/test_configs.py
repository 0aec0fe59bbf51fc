import re
import shlex

import pytest
import yaml

from tests.subprocesses import ROOT

pytest.importorskip("tensorflow_serving", reason='needs the extra "serving"')
from tests.export.images import model_server  # noqa: E402

TF_SERVING = ROOT / "export" / "tf_serving"
PAGE = ROOT / "export" / "genimg_export" / "server" / "page"


def read_yaml(path):
    return yaml.safe_load((ROOT / "export" / path).read_text())


SERVICES = read_yaml("tf_serving/compose.yaml")["services"]
KSERVE = read_yaml("kserve/inference_service.yaml")["spec"]["predictor"]
NGINX = (TF_SERVING / "nginx.conf").read_text()
KUBERNETES = {
    (each["kind"], each["metadata"]["name"]): each["spec"]
    for each in yaml.safe_load_all((TF_SERVING / "kubernetes.yaml").read_text())
}


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
    (proxy,) = re.findall(r"proxy_read_timeout (\d+)s;", NGINX)
    flags = flags_of_compose()
    assert flags.model_config_file.is_file()
    assert flags.monitoring_config_file.is_file()
    assert 30_000 < flags.rest_api_timeout_in_ms < 1000 * int(proxy)
    flags = model_server.parse_arguments(KSERVE["model"]["args"])
    assert flags.rest_api_timeout_in_ms < 1000 * KSERVE["timeout"]


def container(name):
    """Return the container of a Deployment, and the volumes of its pods by name."""
    pod = KUBERNETES["Deployment", name]["template"]["spec"]
    (found,) = pod["containers"]
    return found, {each["name"]: each for each in pod["volumes"]}


def default(variable):
    """Return a variable of compose.yaml as it is if nobody sets it."""
    return re.sub(r"\$\{\w+:-([^}]+)\}", r"\1", variable)


@pytest.mark.parametrize("name", ["tf-serving", "proxy"])
def test_kubernetes_runs_what_compose_runs(name):
    found, volumes = container(name)
    service = SERVICES[name]
    assert found["image"] == default(service["image"])
    command = service["command"]
    command = command if isinstance(command, list) else shlex.split(command)
    # The command of compose.yaml is appended to the entry point, as `args` are.
    assert found["args"] == command and "command" not in found
    targets = {default(volume).split(":")[1] for volume in service["volumes"]}
    targets |= set(service.get("tmpfs", []))
    assert {mount["mountPath"] for mount in found["volumeMounts"]} == targets
    for mount in found["volumeMounts"]:
        assert mount["name"] in volumes
        assert mount.get("readOnly", False) == (mount["mountPath"] != "/tmp")
    security = found["securityContext"]
    assert security["capabilities"] == {"drop": service["cap_drop"]}
    assert security["allowPrivilegeEscalation"] is False
    assert security.get("readOnlyRootFilesystem", False) == service.get(
        "read_only", False
    )
    if "user" in service:
        ids = security["runAsUser"], security["runAsGroup"]
        assert ":".join(map(str, ids)) == service["user"]


@pytest.mark.parametrize("name, port", [("tf-serving", "rest"), ("proxy", "http")])
def test_ports_and_names_of_kubernetes_are_those_of_nginx(name, port):
    found, _ = container(name)
    labels = KUBERNETES["Deployment", name]["template"]["metadata"]["labels"]
    assert KUBERNETES["Deployment", name]["selector"]["matchLabels"] == labels
    (listed,) = found["ports"]
    assert listed["name"] == port
    service = KUBERNETES["Service", name]
    assert service["selector"] == labels
    assert service["ports"] == [{"port": listed["containerPort"], "targetPort": port}]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (kind,) = found.get(probe, {}).keys() & {"tcpSocket", "httpGet"} or {None}
        assert kind is None or found[probe][kind]["port"] == port
    if name == "tf-serving":
        assert f"server {name}:{listed['containerPort']};" in NGINX
    else:
        assert f"listen {listed['containerPort']};" in NGINX


def test_probes_wait_for_the_models_and_for_long_requests():
    found, _ = container("tf-serving")
    health = SERVICES["tf-serving"]["healthcheck"]
    startup = found["startupProbe"]
    assert startup["failureThreshold"] == health["retries"]
    assert f"{startup['periodSeconds']}s" == health["interval"]
    liveness = found["livenessProbe"]
    # It may wait for a thread until a request is timed out.
    assert 1000 * liveness["timeoutSeconds"] > flags_of_compose().rest_api_timeout_in_ms
    (model,) = model_server.read_config((TF_SERVING / "models.config").read_text())
    assert liveness["httpGet"]["path"] == f"/v1/models/{model.name}"


def test_only_the_proxy_reaches_the_server_on_kubernetes():
    policy = KUBERNETES["NetworkPolicy", "tf-serving"]
    labels = {
        name: KUBERNETES["Deployment", name]["template"]["metadata"]["labels"]
        for name in ("tf-serving", "proxy")
    }
    assert policy["podSelector"] == {"matchLabels": labels["tf-serving"]}
    (rule,) = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": labels["proxy"]}}]
    assert rule["ports"] == [{"port": "rest"}]


def test_commands_for_kubernetes_name_the_files_of_its_config_maps():
    readme = (ROOT / "export" / "README.md").read_text().replace("\\\n", " ")
    commands = re.findall(r"^kubectl create configmap (\S+) (.*)$", readme, re.M)
    files = {
        name: [ROOT / path for path in re.findall(r"--from-file=(\S+)", options)]
        for name, options in commands
    }
    used = {
        volume["configMap"]["name"]
        for name in ("tf-serving", "proxy")
        for volume in container(name)[1].values()
        if "configMap" in volume
    }
    assert files.keys() == used
    names = {path.name for path in files["serving-config"]}
    command = " ".join(
        [*container("tf-serving")[0]["args"], *container("proxy")[0]["args"]]
    )
    assert names == {*re.findall(r"/config/(\S+)", command), "guard.js"}
    assert files["proxy-page"] == [PAGE]
    assert all(path.exists() for each in files.values() for path in each)


def test_tls_is_added_by_files_that_the_proxy_reads():
    (added,) = read_yaml("tf_serving/compose.tls.yaml")["services"].items()
    assert added[0] == "proxy" and added[1].keys() == {"volumes", "ports"}
    (volume,) = added[1]["volumes"]
    assert volume == "./tls:/tls:ro"
    assert "include /tls/*.conf;" in NGINX
    tls = (TF_SERVING / "tls" / "tls.conf").read_text()
    (port,) = re.findall(r"^listen (\d+) ssl;", tls, re.M)
    (published,) = added[1]["ports"]
    assert published.endswith(f":{port}:{port}")
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    for name in re.findall(r" /tls/(\S+);", tls):
        assert f"export/tf_serving/tls/{name}" in ignored
