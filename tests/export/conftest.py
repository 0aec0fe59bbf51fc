import sys

import numpy as np
import pytest

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import DRAW, VAE, OrientedModel, PixelCNN
from tests.export import plain_model
from tests.serving.some_endpoints import write_endpoints

# One is also a number, but not its own.
NAMES = ["red", "green", "0"]


@pytest.fixture(scope="session")
def models():
    """Tiny models by name; `pixels` takes labels, and `named` names of classes."""
    pixels = PixelCNN(
        (4, 5, 3), 4, 1, head_filters=4, likelihood=Categorical(4), num_classes=3
    )
    named = PixelCNN.from_config({**pixels.get_config(), "class_names": NAMES})
    named.set_weights(pixels.get_weights())
    return {
        "pixels": pixels,
        "named": named,
        "draw": DRAW((4, 4, 1), 3, 4, 2, read_size=2, write_size=2),
        "vae": VAE((4, 4, 1), 2, 4),
        "oriented": OrientedModel(PixelCNN((4, 4, 1), 3, 1, 4, num_classes=8)),
    }


@pytest.fixture(scope="session")
def drawn(models):
    """Function that returns the library's own images of seeds, as they are shown."""

    def draw(name, seeds, label=None, **options):
        if label is not None:
            options["conditions"] = np.broadcast_to(label, len(seeds))
        images = models[name].generate(len(seeds), seed=seeds, **options)
        return models[name].likelihood.to_display(images)

    return draw


@pytest.fixture(scope="session")
def completed(models):
    """Function that returns what `pixels` completes shown images to."""
    model = models["pixels"]

    def complete(images, known, seeds, label, **options):
        images = model.likelihood.from_display(images)
        options["conditions"] = np.broadcast_to(label, len(images))
        return model.likelihood.to_display(
            model.complete(images, known, seed=seeds, **options)
        )

    return complete


@pytest.fixture(scope="session")
def log_prob(models):
    """Function that returns the log-probabilities that `pixels` gives to images."""
    model = models["pixels"]

    def compute(images, label):
        images = model.likelihood.from_display(images)
        label = np.broadcast_to(label, len(images))
        return model.log_prob({model.inputs[0].name: images, "label": label})

    return compute


@pytest.fixture(scope="session")
def base_dir(models, tmp_path_factory):
    """Paths of version 1 of each model, and of `plain`, which is not an image model."""
    directory = tmp_path_factory.mktemp("models")
    for name in ("pixels", "vae"):
        models[name].export(
            directory / name / "1", max_examples=16, batching=True, verbose=False
        )
    names = ("sample", "sample_canvases")
    write_endpoints(models["draw"], directory / "draw" / "1", *names, max_examples=16)
    # It has names of classes, weights candidates, and completes 5 images at most.
    path, options = directory / "candidates" / "1", {"num_candidates": 3}
    names = ("sample", "complete")
    write_endpoints(models["named"], path, *names, max_examples=16, **options)
    path = directory / "oriented" / "1"
    write_endpoints(models["oriented"], path, *names, max_examples=16, **options)
    plain_model.save(directory / "plain" / "1")
    return directory


@pytest.fixture(scope="session")
def server(base_dir, tmp_path_factory):
    # Here, since it skips where the extra is not installed.
    from tests.export.running_server import running

    directory = tmp_path_factory.mktemp("server")
    limit = ("--max-body-bytes", 1_000_000)
    labels = ("--label", "vae:stable=1", "--label", "candidates:stable=1")
    with running(directory, "--base-dir", base_dir, *limit, *labels) as started:
        yield started


@pytest.fixture
def run_command(monkeypatch, capsys):
    """Function that runs a module's `main`; it returns what that prints, and errors."""

    def run(module, *arguments, code=0):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        try:
            ended = module.main()
        except SystemExit as error:
            ended = error.code
        output, errors = capsys.readouterr()
        if isinstance(ended, str):  # Python prints a text and ends with code 1.
            ended, errors = 1, ended
        assert ended == code, errors
        return output, errors

    return run
