"""Models exported on a GPU are served on a machine without one."""

import numpy as np
import pytest

from keras_genimg.models import AutoregressiveModel
from keras_genimg.serving import verify, write_saved_model
from tests.conformance.registry import MODELS
from tests.gpu.placement import CPU, assert_close, on, random_twins
from tests.sampling.drawn import TIE, assert_ancestral
from tests.subprocesses import run_python

NAMES = ("PixelCNN_classes", "PixelRNN_diagonal", "PixelRNN_row", "VAE", "DRAW")
SEEDS = np.arange(8)
OUTPUTS = "sample", "log_prob", "elbo"

# Calls the signatures of each export without Keras and without a GPU.
SCRIPT = """
import pathlib, sys
sys.modules["keras"] = sys.modules["keras_genimg"] = None
import numpy as np, tensorflow as tf
assert not tf.config.list_physical_devices("GPU")
for path in pathlib.Path(sys.argv[1]).glob("*.npz"):
    given = dict(np.load(path))
    signatures = tf.saved_model.load(str(path.with_suffix(""))).signatures
    outputs = {}
    for name in {"sample", "log_prob", "elbo"} & set(signatures):
        taken = signatures[name].structured_input_signature[1]
        results = signatures[name](**{key: tf.constant(given[key]) for key in taken})
        key = "images" if name == "sample" else name
        outputs[name] = results[key].numpy()
    np.savez(path.with_name(f"{path.stem}_served.npz"), **outputs)
    print("served", path.stem)
"""


def export(case, model, path):
    """Write a model and inputs for it; return the inputs."""
    x = case.example(len(SEEDS))
    images = x["images"] if isinstance(x, dict) else x
    displayed = np.asarray(model.likelihood.to_display(images), "int32")
    inputs = {"images": displayed, "seed": SEEDS}
    if case.num_classes is not None:
        inputs["label"] = x["label"]
    endpoints = model.endpoints(model.image_shape)
    endpoints = {k: endpoints[k] for k in endpoints if k in OUTPUTS}
    write_saved_model(model, path, endpoints, max_examples=16, verbose=False)
    np.savez(f"{path}.npz", **inputs)
    return x, inputs


def test_without_a_gpu_exports_return_the_same(device, tmp_path):
    twins = {name: random_twins(MODELS[name]) for name in NAMES}
    exported = {k: export(MODELS[k], twins[k][0], tmp_path / k) for k in NAMES}
    output = run_python("-c", SCRIPT, tmp_path, CUDA_VISIBLE_DEVICES="-1")
    assert output.count("served") == len(NAMES)
    for name, (x, inputs) in exported.items():
        model, twin = twins[name]
        served = dict(np.load(tmp_path / f"{name}_served.npz"))
        drawn = model.likelihood.from_display(served["sample"])
        if isinstance(model, AutoregressiveModel):
            with on(CPU):
                assert_ancestral(twin, drawn, inputs.get("label"), slack=TIE)
            assert_close(served["log_prob"], model.log_prob(x))
        else:
            expected = model.likelihood.to_display(model.generate(8, seed=0))
            difference = np.abs(served["sample"].astype(int) - expected)
            assert difference.max() <= 1  # Means of 255 values, rounded.
            assert_close(served["elbo"], model.elbo(x, seed=0))


@pytest.mark.parametrize("name", ["PixelRNN_diagonal", "DRAW"])
def test_exports_pass_the_verification(name, device, tmp_path):
    MODELS[name].make().export(tmp_path / "model", verbose=False)
    assert verify(tmp_path / "model", verbose=False).passed
