import functools
import json
import os

import keras
import pytest

from genimg_export import export_model, verify
from genimg_export.checks import check_model_path
from genimg_export.metadata import METADATA_FILE
from genimg_export.saved_graph import SavedGraph
from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import VAE, AutoregressiveModel
from keras_genimg.presets import weights
from keras_genimg.serving import read_metadata
from tests.serving import planted
from tests.subprocesses import run_python

pytestmark = pytest.mark.slow

SIZE = ["--image-size", "3", "4"]


@pytest.fixture
def command(run_command, tmp_path):
    """Function that runs the command with a folder of models."""
    return functools.partial(run_command, export_model, "--base-dir", tmp_path)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder of `.keras` files."""
    folder = tmp_path_factory.mktemp("models")
    VAE((4, 4, 1), 2, 4).save(folder / "vae.keras")
    images = keras.Input((None, None, 1))
    logits = MaskedConv2D(1, 3, "A")(images)
    AutoregressiveModel(images, logits, "bernoulli").save(folder / "any_size.keras")
    (folder / "list.json").write_text("[1]")
    (folder / "empty").mkdir()
    (folder / "run").mkdir()
    for name in ("config.json", "model.keras"):
        (folder / "run" / name).touch()
    return folder


def test_a_trained_model_becomes_a_version(files, tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps({"license": "CC0"}))
    arguments = [files / "vae.keras", "--name", "vae", "--base-dir", tmp_path]
    options = ["--batch-sizes", "1,8", "--metadata", tmp_path / "notes.json"]
    printed = run_python("-m", "genimg_export.export_model", *arguments, *options)
    path = tmp_path / "vae" / "1"
    assert f"Published {path}\n" in printed
    assert "pass  warm-up: 14 records run" in printed
    assert f"--model_name=vae --model_base_path={tmp_path / 'vae'} " in printed
    assert """-d '{"inputs": {"seed": [1, 2]}}'""" in printed
    assert read_metadata(path)["license"] == "CC0"


def test_an_unzipped_model_is_no_folder_without_a_model(files, tmp_path):
    model = keras.saving.load_model(files / "vae.keras", compile=False)
    model.save(tmp_path / "vae", zipped=False)
    check_model_path(tmp_path / "vae")
    assert keras.saving.load_model(tmp_path / "vae", compile=False).latent_dim == 2


def test_labels_of_the_printed_command_are_in_range(tmp_path):
    file = tmp_path / "model" / "1" / METADATA_FILE
    file.parent.mkdir(parents=True)
    inputs = {"seed": {"shape": [None]}, "label": {"shape": [None], "low": 2}}
    file.write_text(json.dumps({"signatures": {"sample": {"inputs": inputs}}}))
    text = export_model.what_next(tmp_path / "model" / "1")
    assert """-d '{"inputs": {"seed": [1, 2], "label": [2, 2]}}'""" in text


def test_a_preset_is_published_with_its_card(command, tmp_path, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    model = VAE.from_preset("digits")
    weights.write_weights(tmp_path, "VAE", "digits", model.get_weights())
    (tmp_path / "VAE-digits.json").write_text('{"nats": 1.5}')
    options = ["--name", "vae", "--batch-sizes", ""]
    command("--preset", "VAE/digits", *options)
    assert read_metadata(tmp_path / "vae" / "1")["card"] == {"nats": 1.5}
    for preset, code, text in (
        ("VAE/mnist", 1, "has no trained weights. Presets of VAE that have: digits"),
        ("VAE/digit", 2, "no preset 'VAE/digit'. Did you mean VAE/digits"),
    ):
        assert text in command("--preset", preset, *options, code=code)[1]


def test_options_reach_the_export(command, files, tmp_path):
    options = "--name cnn --version 7 --image-size 3 4 --max-examples 5 --xla-twins"
    options += " --num-candidates 2 --no-batching --batch-sizes 5"
    command(files / "any_size.keras", *options.split())
    metadata = read_metadata(tmp_path / "cnn" / "7")
    assert metadata["image_shape"] == [3, 4, 1]
    assert metadata["max_examples"] == 5
    assert "sample_xla" in metadata["signatures"]
    assert not SavedGraph(tmp_path / "cnn" / "7").queues()
    complete = metadata["signatures"]["complete"]
    assert (complete["num_candidates"], complete["max_examples"]) == (2, 2)
    planted.save(tmp_path / "plain", {"sound": (planted.sound, [planted.SEED])})
    again = [tmp_path / "plain", "--name", "cnn", "--keep", "2", "--batch-sizes", ""]
    os.utime(tmp_path / "cnn" / "7", (0, 0))
    for _ in range(2):
        command(*again)
    left = {p.name for p in (tmp_path / "cnn").iterdir() if p.name[0] != "."}
    assert left == {"8", "9"}


@pytest.mark.parametrize(
    "model, options, code, text",
    [
        ("nowhere.keras", [], 2, "There is no file or folder 'nowhere.keras'"),
        ("empty", [], 2, "Received: empty, a folder without it.\n"),
        ("run", [], 2, "a folder without it. Did you mean run/model.keras?\n"),
        ("any_size.keras", [], 1, "export needs `image_size="),
        ("any_size.keras", [*SIZE, "--num-candidates", 300], 1, "must have room"),
        ("vae.keras", ["--num-candidates", 2], 1, "VAE has no argument `num_cand"),
        ("vae.keras", ["--max-examples", 4, "--batch-sizes", 8], 1, "at most 4"),
        ("vae.keras", ["--base-dir", __file__], 1, "Not a directory"),
        ("vae.keras", ["--batch-sizes", "1,x"], 2, "invalid batch_sizes value: '1,x'"),
        ("vae.keras", ["--metadata", "nowhere.json"], 2, "nowhere.json cannot be read"),
        ("vae.keras", ["--metadata", "list.json"], 2, "must hold a JSON object"),
        ("vae.keras", ["--preset", "VAE/digits"], 2, "either MODEL or --preset"),
    ],
)
def test_faults_are_told_without_a_traceback(
    command, files, tmp_path, monkeypatch, model, options, code, text
):
    monkeypatch.chdir(files)
    printed, errors = command(model, "--name", "vae", *options, code=code)
    assert not printed and text in errors
    assert errors.startswith("Not published" if code == 1 else "usage: ")
    assert not [p for p in tmp_path.rglob("*") if p.name not in ("vae", ".lock")]


@pytest.mark.parametrize(
    "function, code, last, told",
    [
        (planted.sound, 0, "can be served", "pass  Python"),
        (planted.calls_python, 1, "must not be served", "FAIL  graph: calls_python"),
        (None, 1, "must not be served", "FAIL  files: "),
    ],
)
def test_verdict_of_verify(function, code, last, told, tmp_path, run_command):
    path = tmp_path / "model"
    path.mkdir()
    if function:
        planted.save(path, {function.__name__: (function, [planted.SEED])})
    printed, _ = run_command(verify, path, code=code)
    assert told in printed
    assert printed.endswith(f"{path} {last}\n")
    _, errors = run_command(verify, tmp_path / "gone", code=2)
    assert f"There is no folder '{tmp_path / 'gone'}'." in errors
