import json

import numpy as np
import pytest

from keras_genimg.models import PixelCNN, preset_weights


@pytest.fixture
def written(monkeypatch, tmp_path):
    """Write weights of a preset; return the model they come from."""
    monkeypatch.setattr(preset_weights, "FOLDER", tmp_path)
    model = PixelCNN.from_preset("digits")
    weights = model.get_weights()
    path = preset_weights.write_weights(tmp_path, "PixelCNN", "digits", weights)
    path.with_suffix(".json").write_text(json.dumps({"nats": 81.0}))
    return model


def test_weights_are_those_written_in_half_precision(written):
    loaded = PixelCNN.from_preset("digits", weights=True, name="mine")
    assert loaded.name == "mine"
    for a, b in zip(loaded.get_weights(), written.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b.astype("float16").astype("float32"))
    assert preset_weights.read_card("PixelCNN", "digits")["nats"] == 81


def test_other_shapes_are_refused(written):
    with pytest.raises(ValueError, match=r"do not fit.*of shape \(.*in place of \("):
        PixelCNN.from_preset("digits", weights=True, units=8)
    for num_blocks in (2, 4):
        with pytest.raises(ValueError, match="do not fit.*in place of"):
            PixelCNN.from_preset("digits", weights=True, num_blocks=num_blocks)


def test_a_preset_without_weights_names_those_that_have_some(written):
    text = "PixelCNN 'cifar10_15x128' has no trained weights.*that have: digits"
    with pytest.raises(ValueError, match=text):
        PixelCNN.from_preset(
            "cifar10_15x128", weights=True, image_shape=(4, 4, 3), units=3, num_blocks=1
        )


def test_large_weights_are_not_clipped(tmp_path):
    with pytest.raises(ValueError, match="at most 65504"):
        preset_weights.write_weights(tmp_path, "X", "y", [np.float32([1e5])])
    assert not list(tmp_path.iterdir())
