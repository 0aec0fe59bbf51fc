"""`tensorflow_model_server` and the entry point of its image, replaced by stand-ins.

The embedded server answers REST, `grpc_stand_in` answers gRPC. The flags are those of
the real server. An unknown flag ends the process, like there.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile

CHECKOUT = pathlib.Path(__file__).parents[3]
sys.path.insert(0, str(CHECKOUT / "tests" / "export"))

import grpc_stand_in  # noqa: E402

MODEL_CONFIG = """
model_config_list {{
  config {{ name: "{name}" base_path: "{path}" model_platform: "tensorflow" }}
}}
"""


def parse_arguments(arguments):
    # The last one of a name counts, as in the real server.
    parser = argparse.ArgumentParser(allow_abbrev=False)
    add = parser.add_argument
    add("--port", type=int)
    add("--rest_api_port", type=int)
    add("--model_name")
    add("--model_base_path")
    add("--model_config_file")
    add("--model_config_file_poll_wait_seconds", type=int, default=0)
    add("--rest_api_timeout_in_ms", type=int, default=30_000)
    add("--allow_version_labels_for_unavailable_models")
    add("--rest_api_num_threads", type=int)
    add("--monitoring_config_file", type=argparse.FileType())
    add("--max_num_load_retries", type=int)
    add("--enable_model_warmup")
    return parser.parse_args(arguments)


def main():
    name = os.environ.get("MODEL_NAME", "model")
    base = os.environ.get("MODEL_BASE_PATH", "/models")
    # As the entry point of the image does.
    given = parse_arguments(
        [
            "--port=8500",
            "--rest_api_port=8501",
            f"--model_name={name}",
            f"--model_base_path={base}/{name}",
            *sys.argv[1:],
        ]
    )
    config = given.model_config_file
    if config is None:
        config = os.path.join(tempfile.mkdtemp(), "models.config")
        text = MODEL_CONFIG.format(name=given.model_name, path=given.model_base_path)
        pathlib.Path(config).write_text(text)
    command = [sys.executable, str(CHECKOUT / "export" / "serve.py")]
    command += ["--host", "0.0.0.0", "--port", str(given.rest_api_port)]
    command += ["--model-config", config]
    command += ["--timeout", str(given.rest_api_timeout_in_ms / 1000)]
    if given.model_config_file_poll_wait_seconds:
        command += ["--poll-seconds", str(given.model_config_file_poll_wait_seconds)]
    with grpc_stand_in.serving(base, f"0.0.0.0:{given.port}"):
        sys.exit(subprocess.call(command))


if __name__ == "__main__":
    main()
