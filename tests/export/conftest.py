import pytest

from keras_genimg.likelihoods import Categorical
from keras_genimg.models import DRAW, VAE, PixelCNN
from keras_genimg.serving import write_saved_model
from tests.export.plain_model import Plain


@pytest.fixture(scope="session")
def models():
    """Tiny models by name; `pixels` takes labels."""
    return {
        "pixels": PixelCNN(
            (4, 5, 3), 4, 1, head_filters=4, likelihood=Categorical(4), num_classes=3
        ),
        "draw": DRAW((4, 4, 1), 3, 4, 2, read_size=2, write_size=2),
        "vae": VAE((4, 4, 1), 2, 4),
    }


@pytest.fixture(scope="session")
def drawn(models):
    """Function that returns the library's own images of seeds, as they are shown."""

    def draw(name, seeds, **options):
        images = models[name].generate(len(seeds), seed=seeds, **options)
        return models[name].likelihood.to_display(images)

    return draw


def write(model, path, endpoints, name):
    """Write a SavedModel with `sample` and one more endpoint."""
    endpoints = {key: endpoints[key] for key in ("sample", name)}
    write_saved_model(model, path, endpoints, max_examples=16, verbose=False)


@pytest.fixture(scope="session")
def base_dir(models, tmp_path_factory):
    """Paths of version 1 of each model, and of `plain`, which is not an image model."""
    directory = tmp_path_factory.mktemp("models")
    for name in ("pixels", "vae"):
        models[name].export(
            directory / name / "1", max_examples=16, batching=True, verbose=False
        )
    draw, pixels = models["draw"], models["pixels"]
    endpoints = draw.endpoints(draw.image_shape)
    write(draw, directory / "draw" / "1", endpoints, "sample_canvases")
    # It weights candidates, and completes 5 images at most.
    endpoints = pixels.endpoints(pixels.image_shape, num_candidates=3)
    write(pixels, directory / "candidates" / "1", endpoints, "complete")
    Plain().save(directory / "plain" / "1")
    return directory


@pytest.fixture(scope="session")
def server(base_dir, tmp_path_factory):
    # Here, since it skips where the extra is not installed.
    from tests.export.running_server import running

    directory = tmp_path_factory.mktemp("server")
    limits = ("--max-body-bytes", 1_000_000, "--timeout", 20)
    label = ("--label", "vae:stable=1")
    with running(directory, "--base-dir", base_dir, *limits, *label) as started:
        yield started
