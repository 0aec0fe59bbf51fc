import logging
import os
import signal
import sys
import time

import pytest
import tensorflow as tf

from genimg_export import serve
from keras_genimg.serving import Input
from tests.export.running_server import running, started
from tests.subprocesses import SOURCES

pytest.importorskip("google.protobuf")
from genimg_export.server.models import Catalog, LoadedModel, _example  # noqa: E402


@pytest.mark.parametrize(
    "given",
    [
        Input(tf.TensorSpec((None,), tf.int64), 0, 2**62 - 1),
        Input(tf.TensorSpec((None, 3, 4), tf.int32), 3, 7),
        Input(tf.TensorSpec((None,), tf.int32), high=-5),
        Input(tf.TensorSpec((None,), tf.float32), 0, low_open=True),
        Input(tf.TensorSpec((None,), tf.float32), 0, 0.5, low_open=True),
        Input(tf.TensorSpec((None, 2))),
        Input(tf.TensorSpec((None,), tf.bool)),
        Input(tf.TensorSpec((None,), tf.string)),
    ],
    ids=lambda given: given.requirement,
)
def test_an_example_is_in_the_range_of_its_input(given):
    example = tf.constant(_example(given.metadata()), given.spec.dtype)
    assert example.shape == [size or 1 for size in given.spec.shape]
    assert tf.reduce_all(given.in_range(example))


@pytest.mark.slow
def test_first_requests_after_the_warm_up_are_not_slow(base_dir):
    def seconds(model):
        start = time.monotonic()
        for signature in ("serving_default", "sample", "sample_png", "log_prob"):
            inputs = model.metadata["signatures"].get(signature)
            inputs = (inputs or model.metadata["signatures"]["sample"])["inputs"]
            inputs = {name: _example(given) for name, given in inputs.items()}
            model.run(signature, inputs, 60)
        return time.monotonic() - start

    warm, cold = (LoadedModel(str(base_dir / "pixels" / "1")) for _ in range(2))
    warm.warm_up(2, 60)
    assert seconds(warm) < seconds(cold) / 4


@pytest.mark.slow
def test_a_slow_signature_is_named(base_dir, caplog):
    LoadedModel(str(base_dir / "vae" / "1")).warm_up(1, 1e-9)
    assert "sample takes more than 1e-09 s for one example" in caplog.text


@pytest.mark.slow
def test_the_server_says_when_a_model_is_warm(base_dir, tmp_path):
    model = ("--model", f"vae={base_dir / 'vae'}")
    with running(tmp_path, *model, warm_up=True) as server:
        states = [
            line.removeprefix("serve: vae version 1 is ")
            for line in server.log.splitlines()
            if line.startswith("serve: vae")
        ]
    assert [state.split()[0] for state in states[:4]] == [
        "LOADING",
        "warming",
        "warm",
        "AVAILABLE",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("said", ["is LOADING", "running on"])
def test_ctrl_c_stops_the_server_without_a_traceback(said, base_dir, tmp_path):
    log, model = tmp_path / "log.txt", f"vae={base_dir / 'vae'}"
    command = (sys.executable, "-m", "genimg_export.serve", "--model", model)
    options = {"seconds": 300, "env": {**os.environ, "PYTHONPATH": SOURCES}}

    def ready():
        return said in log.read_text()

    with started((*command, "--port", 0), log, ready, **options) as process:
        process.send_signal(signal.SIGINT)
        process.wait(60)
    assert "Traceback" not in log.read_text()
    assert process.returncode == 130
    assert log.read_text().endswith("\nserve: stopped\n")


def start(*arguments):
    """Start and stop a catalog."""
    catalog = Catalog(serve.parse_arguments([str(each) for each in arguments]))
    catalog.start()
    catalog.stop()


def test_directories_without_models_are_told_what_they_should_hold(tmp_path, caplog):
    caplog.set_level(logging.INFO, "serve")
    start("--base-dir", tmp_path)
    assert f"There are no models in {tmp_path}." in caplog.text
    assert f"such as {tmp_path}/digits/1/saved_model.pb" in caplog.text
    assert "--model" not in caplog.text

    caplog.clear()
    start("--model", f"digits={tmp_path}")
    assert f"There are no versions of digits in {tmp_path}." in caplog.text
    assert f"such as {tmp_path}/1/saved_model.pb" in caplog.text


def test_a_model_instead_of_a_directory_of_models_is_recognized(tmp_path, caplog):
    model = tmp_path / "pets"
    (model / "1").mkdir(parents=True)
    start("--base-dir", model)
    assert f"{model} is a model itself: use --model pets={model}." in caplog.text

    caplog.clear()
    run = tmp_path / "runs" / "photos"
    run.mkdir(parents=True)
    start("--base-dir", run)
    assert "training run" not in caplog.text
    (run / "model.keras").touch()
    start("--base-dir", run)
    command = f"genimg-export {run}/model.keras --name photos --base-dir served"
    assert f"{run} is the folder of a training run; publish its" in caplog.text
    assert command in caplog.text

    caplog.clear()
    (model / "1" / "saved_model.pb").touch()
    start("--base-dir", model / "1")
    assert f"is a version of a model: use --model pets={model}." in caplog.text

    caplog.clear()
    (model / "1" / "saved_model.pb").rename(model / "saved_model.pb")
    (model / "1").rmdir()
    start("--base-dir", model)
    command = f"genimg-export {model} --name pets --base-dir served"
    assert f"{model} is a SavedModel, which {command} publishes." in caplog.text
