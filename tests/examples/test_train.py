import json

import pytest


@pytest.mark.slow
def test_a_preset_is_trained_and_goes_on(run_example, tmp_path):
    options = ["--preset", "VAE/digits", "--epochs", 2, "--output", tmp_path]
    run_example("train.py", *options)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["preset"] == "VAE/digits" and report["images"] == 300
    assert 0 < report["nats"] < 64 and 0 < report["standard_error"] < 1
    for name in ("config.json", "model.keras", "samples/epoch_0002.png"):
        assert (tmp_path / name).stat().st_size > 0
    assert len((tmp_path / "log.csv").read_text().splitlines()) == 3

    output = run_example("train.py", *options)
    assert "Going on in epoch 3" in output and "Epoch 3/" not in output
    again = json.loads((tmp_path / "report.json").read_text())
    assert again["nats"] == report["nats"]
    config = (tmp_path / "config.json").read_bytes()
    with pytest.raises(SystemExit, match="holds a run with epochs=2.*epochs=3"):
        run_example("train.py", *options[:2], "--epochs", 3, *options[4:])
    assert (tmp_path / "config.json").read_bytes() == config


@pytest.mark.parametrize("option", ["--epochs", "--save-every"])
def test_numbers_below_1_are_refused(option, run_example, capsys):
    with pytest.raises(SystemExit):
        run_example("train.py", "--preset", "VAE/digits", option, 0)
    assert f"{option} must be at least 1, not 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    "name, text",
    [
        ("digits", "families have a preset 'digits'.*PixelCNN/digits"),
        ("PixelRNN/nothing", "No family has a preset"),
        ("DRAW/svhn", "DRAW/svhn has no recipe"),
    ],
)
def test_other_presets_are_refused(name, text, run_example, tmp_path):
    with pytest.raises(SystemExit, match=text):
        run_example("train.py", "--preset", name, "--output", tmp_path / "no")
    assert not (tmp_path / "no").exists()
