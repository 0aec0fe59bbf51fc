import pytest

from keras_genimg.models import PixelCNN
from tests.presets.fake_hub import fake_hub
from tests.subprocesses import run_python

SAVE_AND_LOAD = """
import keras
import numpy as np
import pytest
from keras_genimg.models import GenerativeModel, PixelCNN, PixelRNN

keras.utils.set_random_seed(1)
model = PixelRNN.from_preset("digits_diagonal")
model.compile("adam")
model.save("hf://somebody/digits")
digits = model.generate(4, seed=100)

for again in (
    keras.saving.load_model("hf://somebody/digits"),
    PixelRNN.from_preset("hf://somebody/digits"),
    GenerativeModel.from_preset("hf://somebody/digits", weights=True),
):
    assert type(again) is PixelRNN
    np.testing.assert_array_equal(again.generate(4, seed=100), digits)

for no in (False, 0):
    untrained = PixelRNN.from_preset("hf://somebody/digits", weights=no)
    assert type(untrained) is PixelRNN
    assert (untrained.get_weights()[0] != model.get_weights()[0]).any()

with pytest.raises(ValueError, match="'hf://somebody/digits' is no PixelCNN"):
    PixelCNN.from_preset("hf://somebody/digits")
with pytest.raises(ValueError, match="its own settings.* Received: units"):
    PixelRNN.from_preset("hf://somebody/digits", units=3)
with pytest.raises(Exception, match="Repository Not Found"):
    PixelRNN.from_preset("hf://somebody/nothing")

# Code in a file of the Hub does not run.
inputs = keras.Input((2,))
keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs)).save("hf://a/lambda")
with pytest.raises(ValueError, match="[Ll]ambda"):
    GenerativeModel.from_preset("hf://a/lambda")
print("done")
"""


@pytest.mark.parametrize("name", [None, 3, "hf:/somebody/digits"])
def test_names_that_are_no_presets_are_refused(name):
    with pytest.raises(ValueError, match=f"PixelCNN has no preset {name!r}"):
        PixelCNN.from_preset(name)


@pytest.mark.slow
def test_models_are_shared_by_the_hub(tmp_path):
    pytest.importorskip("huggingface_hub")
    with fake_hub() as hub:
        # The client reads these when it is imported.
        place = {"HF_ENDPOINT": hub.url, "HF_HOME": str(tmp_path), "HF_TOKEN": "any"}
        quiet = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}
        output = run_python("-c", SAVE_AND_LOAD, **place, **quiet)
        assert "done" in output
        stored = {
            name for repository, name in hub.files if repository.endswith("digits")
        }
    # These are the files of keras-hub too.
    assert {"config.json", "metadata.json", "model.weights.h5"} <= stored
