import json
import os
import pathlib
import runpy
import sys

import keras
import pytest

from keras_genimg.layers import MaskedConv2D
from keras_genimg.models import VAE, AutoregressiveModel
from keras_genimg.presets import weights
from keras_genimg.serving import read_metadata
from keras_genimg.serving.verification.saved_graph import SavedGraph
from tests.serving import planted
from tests.subprocesses import ROOT, run_python

pytestmark = pytest.mark.slow

SIZE = ["--image-size", "3", "4"]
SCRIPT = pathlib.Path(ROOT, "export", "export_model.py")


@pytest.fixture(scope="module")
def main():
    """Return the script's `main`, to run it where TensorFlow is imported already."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(SCRIPT.parent)
        return runpy.run_path(str(SCRIPT), run_name="export_model")["main"]


@pytest.fixture
def command(main, monkeypatch):
    """Return a function that runs a command line and returns its exit code."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["export_model.py", *map(str, arguments)])
        return main()

    return run


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Return a folder of `.keras` files."""
    folder = tmp_path_factory.mktemp("models")
    VAE((4, 4, 1), 2, 4).save(folder / "vae.keras")
    images = keras.Input((None, None, 1))
    logits = MaskedConv2D(1, 3, "A")(images)
    AutoregressiveModel(images, logits, "bernoulli").save(folder / "any_size.keras")
    (folder / "list.json").write_text("[1]")
    return folder


def test_a_trained_model_becomes_a_version(files, tmp_path):
    (tmp_path / "notes.json").write_text(json.dumps({"license": "CC0"}))
    arguments = [SCRIPT, files / "vae.keras", "--name", "vae", "--base-dir", tmp_path]
    options = ["--batch-sizes", "1,8", "--metadata", tmp_path / "notes.json"]
    printed = run_python(*arguments, *options)
    path = tmp_path / "vae" / "1"
    assert f"Published {path}\n" in printed
    assert "pass  warm-up: 14 records run" in printed
    assert f"--model_name=vae --model_base_path={tmp_path / 'vae'} " in printed
    assert """-d '{"inputs": {"seed": [1, 2]}}'""" in printed
    assert read_metadata(path)["license"] == "CC0"


def test_a_preset_is_published_with_its_card(command, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    model = VAE.from_preset("digits")
    weights.write_weights(tmp_path, "VAE", "digits", model.get_weights())
    (tmp_path / "VAE-digits.json").write_text('{"nats": 1.5}')
    options = ["--name", "vae", "--base-dir", tmp_path, "--batch-sizes", ""]
    assert command("--preset", "VAE/digits", *options) == 0
    assert read_metadata(tmp_path / "vae" / "1")["card"] == {"nats": 1.5}
    for preset, text in (
        ("VAE/mnist", "has no trained weights. Presets of VAE that have: digits"),
        ("nothing", "no family has 'nothing'"),
    ):
        assert command("--preset", preset, *options) == 1
        assert text in capsys.readouterr().err


def test_options_reach_the_export(command, files, tmp_path):
    options = "--image-size 3 4 --max-examples 5 --xla-twins --version 7"
    options += " --num-candidates 2 --no-batching"
    arguments = [files / "any_size.keras", "--name", "cnn", "--base-dir", tmp_path]
    assert command(*arguments, *options.split(), "--batch-sizes", "5") == 0
    metadata = read_metadata(tmp_path / "cnn" / "7")
    assert metadata["image_shape"] == [3, 4, 1]
    assert metadata["max_examples"] == 5
    assert "sample_xla" in metadata["signatures"]
    assert not SavedGraph(tmp_path / "cnn" / "7").queues()
    complete = metadata["signatures"]["complete"]
    assert (complete["num_candidates"], complete["max_examples"]) == (2, 2)
    planted.save(tmp_path / "plain", {"sound": (planted.sound, [planted.SEED])})
    again = [tmp_path / "plain", "--name", "cnn", "--base-dir", tmp_path]
    os.utime(tmp_path / "cnn" / "7", (0, 0))
    for _ in range(2):
        assert command(*again, "--keep", "2", "--batch-sizes", "") == 0
    left = {p.name for p in (tmp_path / "cnn").iterdir() if p.name[0] != "."}
    assert left == {"8", "9"}


@pytest.mark.parametrize(
    "model, options, text",
    [
        ("nowhere.keras", [], "path of a `.keras` file"),
        ("any_size.keras", [], "export needs `image_size="),
        (
            "any_size.keras",
            [*SIZE, "--num-candidates", "300"],
            "Increase `max_examples`",
        ),
        ("vae.keras", ["--num-candidates", "2"], "VAE does not take num_candidates"),
        ("vae.keras", ["--max-examples", "4", "--batch-sizes", "8"], "at most 4"),
        ("vae.keras", ["--base-dir", __file__], "Not a directory"),
    ],
)
def test_faults_are_told_without_a_traceback(
    command, files, tmp_path, capsys, model, options, text
):
    arguments = ["--name", "vae", "--base-dir", tmp_path, *options]
    assert command(files / model, *arguments) == 1
    captured = capsys.readouterr()
    assert captured.err.startswith("Not published")
    assert text in captured.err
    assert not captured.out
    assert not [p for p in tmp_path.rglob("*") if p.name not in ("vae", ".lock")]


@pytest.mark.parametrize(
    "options, text",
    [
        (["--batch-sizes", "1,x"], "invalid batch_sizes value: '1,x'"),
        (["--metadata", "nowhere.json"], "nowhere.json cannot be read"),
        (["--metadata", "list.json"], "must hold a JSON object"),
        (["--preset", "VAE/digits"], "expected either MODEL or --preset"),
    ],
)
def test_usage(command, files, capsys, monkeypatch, options, text):
    monkeypatch.chdir(files)
    with pytest.raises(SystemExit) as raised:
        command("vae.keras", "--name", "vae", "--base-dir", "served", *options)
    assert raised.value.code == 2
    assert text in capsys.readouterr().err
