"""Long calls of models report progress, and short ones print nothing."""

import re
import time

import keras
import numpy as np
import pytest
import tensorflow as tf

from keras_genimg.inputs import calls
from keras_genimg.inputs.calls import reported, timed_slices
from keras_genimg.models import VAE, PixelCNN
from tests.sampling.watched import watch
from tests.seldom import slow_but

SHAPE = (5, 4, 1)
IMAGES = np.random.default_rng(0).integers(2, size=(6, *SHAPE)).astype("uint8")


@pytest.fixture(scope="module")
def models():
    return {"pixels": PixelCNN(SHAPE, 4, 1, head_filters=4), "vae": VAE(SHAPE, 2, 4)}


# One call of each way through the batches.
CALLS = {
    "generate": {"num_images": 6, "batch_size": 2},
    "reconstruct": {"batch_size": 1},
    "log_prob": {"num_samples": 2, "batch_size": 2},
    "marginal_log_likelihood": {"num_samples": 20, "num_burnin": 5, "batch_size": 3},
}


@pytest.mark.parametrize("method", slow_but(CALLS, "generate", "log_prob"))
def test_a_bar_for_long_work_and_nothing_for_short_work(
    models, method, capsys, monkeypatch
):
    model, images = models["vae"], [] if method == "generate" else [IMAGES]

    def call(patience, **more):
        monkeypatch.setattr(calls, "PATIENCE", patience)
        getattr(model, method)(*images, seed=0, **CALLS[method], **more)
        return capsys.readouterr().out

    assert call(1000.0) == ""
    assert call(-1.0, verbose=0) == ""
    printed = call(-1.0)
    line = rf"{model.name}\.{method}: 6 images.* \.\.\.\n"
    assert re.match(line, printed), printed
    bars = re.findall(r"(\d)/6\b", printed)
    assert len(bars) > 1 and bars[-1] == "6"


@pytest.mark.parametrize(
    "method, note", [("ancestral", "20 forward"), ("fixed_point", "up to 21 forward")]
)
def test_a_batch_that_takes_long_is_announced(models, method, note, monkeypatch):
    """Before it is drawn, with the reason."""
    model, said = models["pixels"], []
    model.generate(2, seed=0, method=method)  # Trace first.
    monkeypatch.setattr(calls, "SLOW", 1.0)
    monkeypatch.setattr("builtins.print", lambda text, **_: said.append(text))
    watch(monkeypatch, lambda seeds: said.append("drawn"), cores=1)
    model.generate(2, seed=0, method=method)
    line = f"{model.name}.generate: 2 images, {note} passes per batch ..."
    assert said[:2] == [line, "drawn"]
    model.generate(2, seed=0, method=method, verbose=0)
    assert said[-1] == "drawn"


def test_two_seconds_pass_in_silence(capsys, monkeypatch):
    now = 0.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    out = []
    for _ in reported([[[0]]] * 4, "model.method", 4):
        out.append(capsys.readouterr().out)
        now += 0.9
    assert out[:3] == [""] * 3
    assert out[3].startswith("model.method: 4 images ...\n")
    assert "4/4" in capsys.readouterr().out


def test_verbose_as_in_keras(models, capsys):
    def printed(data, verbose):
        models["vae"].elbo(data, batch_size=2, verbose=verbose)
        return capsys.readouterr().out

    assert re.search("2/6.*6/6", printed(IMAGES, 1), re.DOTALL)
    assert re.search("^6/6 - .*\n$", printed(IMAGES, 2))
    data = tf.data.Dataset.from_tensor_slices(IMAGES).batch(4)
    assert "2/2" in printed(data, 1)
    three = tf.data.Dataset.from_tensors(IMAGES[:3]).concatenate(data)
    assert printed(three.map(lambda x: x[3:]), 2).startswith("3/3 - ")  # Two are empty.
    unknown = data.unbatch().filter(lambda image: True).batch(4)
    assert re.search(r"2/Unknown.*\n$", printed(unknown, 1))
    with pytest.raises(ValueError, match=r"`verbose`.*'always'"):
        printed(IMAGES, "always")


def test_nothing_once_all_is_done_or_where_keras_logs_elsewhere(capsys, monkeypatch):
    monkeypatch.setattr(calls, "PATIENCE", -1.0)
    list(reported([[[0]]], "model.method", 1))
    keras.utils.disable_interactive_logging()
    try:
        for verbose in ("auto", 1):
            list(reported([[[0]]] * 2, "model.method", 2, verbose, slow=True))
    finally:
        keras.utils.enable_interactive_logging()
    assert capsys.readouterr().out == ""


def test_slices_cover_all_images(monkeypatch):
    quick = [p.stop - p.start for p in timed_slices(40, 8)]
    assert quick == [1, 2, 4, 8, 8, 8, 8, 1]
    monkeypatch.setattr(calls, "_BATCH_SECONDS", 0.05)
    sizes = []
    for part in timed_slices(20, 16):
        sizes.append(part.stop - part.start)
        time.sleep(0.02 * sizes[-1])
    assert sum(sizes) == 20 and max(sizes) <= 2
