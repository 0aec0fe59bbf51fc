"""`tensorflow_model_server` and the entry point of its image, replaced by stand-ins.

The embedded server answers REST, `grpc_stand_in` answers gRPC. The flags are those of
the real server. Like there, an unknown flag ends the process, and so does a lack of an
address for gRPC.
"""

import argparse
import os
import pathlib
import signal
import subprocess
import sys
import time

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

CHECKOUT = pathlib.Path(__file__).parents[3]
sys.path[:0] = [str(CHECKOUT / "export"), str(CHECKOUT / "tests" / "export")]

import grpc_stand_in  # noqa: E402


def parse_arguments(arguments):
    # The last one of a name counts, as in the real server.
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int, default=8500)
    add("--grpc_socket_path", default="")
    add("--rest_api_port", type=int, default=8501)
    add("--model_name")
    add("--model_base_path")
    add("--model_config_file", type=pathlib.Path)
    add("--model_config_file_poll_wait_seconds", type=int)
    add("--rest_api_timeout_in_ms", type=int, default=30_000)
    add("--allow_version_labels_for_unavailable_models")
    add("--rest_api_num_threads", type=int)
    add("--monitoring_config_file", type=pathlib.Path)
    add("--max_num_load_retries", type=int)
    add("--tensorflow_intra_op_parallelism", type=int)
    add("--enable_model_warmup")
    given = parser.parse_args(arguments)
    if not given.port and not given.grpc_socket_path:
        parser.error("at least one of port and grpc_socket_path must be set")
    return given


def read_config(text):
    """Return the models of a models.config."""
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return config.model_config_list.config


def models_in(text):
    """Return the arguments of `genimg-serve` for the models of a models.config."""
    arguments = []
    for model in read_config(text):
        arguments += ["--model", f"{model.name}={model.base_path}"]
        for label, version in model.version_labels.items():
            arguments += ["--label", f"{model.name}:{label}={version}"]
        if model.model_version_policy.specific.versions:
            arguments.append("--all-versions")
    return arguments


def serve(command, config):
    """Run the server, again after each change of the file `config`."""
    while True:
        text = config.read_text()
        server = subprocess.Popen([*command, *models_in(text)])
        try:
            while config.read_text() == text:
                if server.poll() is not None:
                    sys.exit(server.returncode)
                time.sleep(0.5)
        finally:
            server.terminate()
            server.wait()


def main():
    # Paths are those of the image's entry point.
    name = os.environ.get("MODEL_NAME", "model")
    base = os.environ.get("MODEL_BASE_PATH", "/models")
    given = parse_arguments(sys.argv[1:])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # Ends its child too.
    os.environ["PYTHONPATH"] = str(CHECKOUT / "export")
    command = [sys.executable, "-m", "genimg_export.serve"]
    command += ["--host", "0.0.0.0", "--port", str(given.rest_api_port)]
    command += ["--timeout", str(given.rest_api_timeout_in_ms / 1000)]
    command += ["--allowed-host", "*"]  # The real server does not check it.
    if given.enable_model_warmup == "false":
        command.append("--no-warm-up")
    address = f"unix:{given.grpc_socket_path}"
    if given.port:
        address = f"0.0.0.0:{given.port}"
    with grpc_stand_in.serving(base, address):
        if given.model_config_file:
            serve(command, given.model_config_file)
        path = given.model_base_path or f"{base}/{name}"
        model = f"{given.model_name or name}={path}"
        sys.exit(subprocess.call([*command, "--model", model]))


if __name__ == "__main__":
    main()
