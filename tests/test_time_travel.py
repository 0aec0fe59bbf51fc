"""Files that earlier versions wrote are read, and give what they gave.

`tests/data/write.py` wrote them. Pixels and other integers are equal to the last bit.
Floats may differ by rounding, since other kinds of processors add in another order: by
1e-5, and after training by 1e-4, a hundredth of a step of the optimizer.
"""

import pathlib
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf

import keras_genimg.models  # noqa: F401  Registers classes for `load_model`.
from keras_genimg.serving import verify
from tests.data.write import STEPS_BEFORE_STOP, computed, resumed
from tests.seldom import slow_but

DATA = pathlib.Path(__file__).parent / "data"


def files(pattern, *fast):
    """Return names of files as parameters, of which all but `fast` are slow."""
    names = sorted(str(path.relative_to(DATA)) for path in DATA.glob(pattern))
    return slow_but(names, *fast)


def assert_same(found, expected, places=5):
    """Compare arrays by name: integers exactly, floats to some decimal places."""
    for name, value in found.items():
        value, wanted = np.asarray(value), np.asarray(expected[name])
        assert value.dtype == wanted.dtype, name
        tolerance = 10.0**-places if value.dtype.kind == "f" else 0
        np.testing.assert_allclose(value, wanted, tolerance, tolerance, err_msg=name)


@pytest.mark.parametrize("name", files("*/*.keras", "2026-12-03/PixelCNN.keras"))
def test_models_draw_the_same_pixels_and_train_on(name):
    model = keras.models.load_model(DATA / name)
    expected = dict(np.load((DATA / name).with_suffix(".npz")))
    x = {key: expected[key] for key in expected.keys() & {"images", "label"}}
    found = computed(model, x if "label" in x else x["images"])
    assert_same({"trained": found.pop("trained")}, expected, places=4)
    assert_same(found, expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", files("*/resume.npz"))
def test_training_goes_on_from_a_saved_state(name, tmp_path, capsys):
    expected = dict(np.load(DATA / name))
    shutil.copytree((DATA / name).with_suffix(""), tmp_path, dirs_exist_ok=True)
    keras.utils.set_random_seed(1)  # Weights and noise are those of the state.
    found = resumed(tmp_path, expected["images"])
    line = f"Resuming at epoch 1, batch {STEPS_BEFORE_STOP + 1}.\n"
    assert capsys.readouterr().out == line
    assert_same(found, expected, places=4)


@pytest.mark.slow
@pytest.mark.parametrize("name", files("*/*.tar.xz"))
def test_exports_are_verified_and_run(name, tmp_path):
    shutil.unpack_archive(DATA / name, tmp_path, filter="data")
    report = verify(tmp_path, verbose=False)
    assert report.passed, str(report)
    signatures = tf.saved_model.load(str(tmp_path)).signatures
    stored = np.load((DATA / name).with_suffix(".npz"))
    tried = {key.partition("/")[0] for key in stored}
    for signature in tried:
        inputs, expected = (
            {k.rpartition("/")[2]: stored[k] for k in stored if k.startswith(start)}
            for start in (f"{signature}/inputs/", f"{signature}/outputs/")
        )
        given = {key: tf.constant(value) for key, value in inputs.items()}
        found = signatures[signature](**given)
        assert found.keys() == expected.keys()
        assert_same({key: value.numpy() for key, value in found.items()}, expected)
    assert {"sample", "serving_default"} < tried == set(signatures)
