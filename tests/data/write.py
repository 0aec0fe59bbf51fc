"""Write the files that every later version must read, and what they give today.

The folders beside this script are named for the day on which they were written. Files
stay as they are for ever: `tests/test_time_travel.py` fails if a later version draws
another pixel from them. After a change to what is saved, or with a new family, write
another folder:

    python -m tests.data.write tests/data/$(date +%F)

The members of `.keras` files are as Keras wrote them, and compressed to save space. ZIP
and HDF5 note the time, so a second run writes other bytes.
"""

import pathlib
import shutil
import sys
import tempfile
import zipfile

import keras
import numpy as np
import tensorflow as tf

from genimg_export.probes import random_inputs
from genimg_export.saved_graph import SavedGraph
from keras_genimg.callbacks import Resume
from keras_genimg.causality.random_weights import randomize
from keras_genimg.models import VAE, LatentModel
from tests.conformance import registry
from tests.serving.some_endpoints import write_endpoints

# Every family and every likelihood, in the sizes of the contracts.
MODELS = (
    "AutoregressiveModel",
    "PixelCNN",
    "PixelCNN_mixture",
    "GatedPixelCNN_classes",
    "PixelRNN_diagonal",
    "PixelRNN_row",
    "MultiScalePixelRNN",
    "OrientedModel",
    "VAE",
    "VAE_full_normal",
    "DRAW",
)
# Signatures of the exports, by model. Further ones would take much space.
EXPORTS = {
    "GatedPixelCNN_classes": ("sample", "complete", "log_prob"),
    "VAE": ("sample", "reconstruct", "elbo", "encode"),
}
STEPS_BEFORE_STOP = 3


def computed(model, x):
    """Return images, nats and trained weights of a model, which must not change.

    Args:
        model: A model with the optimizer of `write_model`. It is trained further.
        x: Images, or a dict of all inputs.

    Returns:
        Dict of arrays: `drawn` has integers, `log_prob` one number an image, and
        `trained` all weights after two further epochs, one after the other.
    """
    drawing, bound = {}, {}
    if isinstance(model, LatentModel):
        # Means are floats, whose last bits differ between kinds of processors.
        drawing["sample_pixels"] = True
        bound = {"num_samples": 5, "seed": 3}
        for layer in model.layers:
            if hasattr(layer, "seed_generator"):  # A seed of None gives any noise.
                layer.seed_generator.state.assign([1, 0])
    if isinstance(x, dict):
        drawing["conditions"] = {k: v for k, v in x.items() if k != "images"}
    found = {"drawn": model.generate(4, seed=5, **drawing)}
    found["log_prob"] = model.log_prob(x, **bound)
    model.fit(x, batch_size=2, epochs=2, shuffle=False, verbose=0)
    weights = [np.ravel(each) for each in model.get_weights()]
    found["trained"] = np.concatenate(weights, dtype="float32")
    return found


def make(name):
    """Return a model with random weights."""
    keras.utils.set_random_seed(0)
    model = registry.MODELS[name].make()
    randomize(model)
    return model


def write_model(name, folder):
    """Write `<name>.keras`, a model after some training, and what it gives."""
    model = make(name)
    x = registry.MODELS[name].example()
    # A large epsilon keeps the rounding of small gradients small.
    model.compile(keras.optimizers.Adam(0.01, epsilon=0.01), run_eagerly=True)
    model.fit(x, batch_size=2, verbose=0)
    path = folder / f"{name}.keras"
    model.save(path)
    compress(path)
    # A loaded model begins its random orders or noise again.
    model = keras.models.load_model(path)
    given = x if isinstance(x, dict) else {"images": x}
    np.savez_compressed(folder / f"{name}.npz", **given, **computed(model, x))


def compress(path):
    """Compress the members of a ZIP file."""
    with zipfile.ZipFile(path) as stored:
        members = {each: stored.read(each) for each in stored.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as compressed:
        for name, content in members.items():
            compressed.writestr(name, content)


def write_export(name, folder):
    """Write `<name>.tar.xz`, a SavedModel, and inputs and outputs of its signatures."""
    model, arrays = make(name), {}
    with tempfile.TemporaryDirectory() as work:
        path = pathlib.Path(work, "export")
        write_endpoints(model, path, *EXPORTS[name], batching=True)
        signatures = tf.saved_model.load(str(path)).signatures
        for key, signature in SavedGraph(path).signatures.items():
            inputs = random_inputs(signature, batch_size=3)
            outputs = signatures[key](**{k: tf.constant(v) for k, v in inputs.items()})
            arrays |= {f"{key}/inputs/{k}": v for k, v in inputs.items()}
            arrays |= {f"{key}/outputs/{k}": v.numpy() for k, v in outputs.items()}
        shutil.make_archive(str(folder / name), "xztar", path)
    np.savez_compressed(folder / f"{name}.tar.npz", **arrays)


class Stop(keras.callbacks.Callback):
    """Stop training within an epoch, as Ctrl+C does."""

    def on_train_batch_end(self, batch, logs=None):
        if batch + 1 == STEPS_BEFORE_STOP:
            raise KeyboardInterrupt


def resumed(directory, images, *callbacks):
    """Train a model with noise and averages, or continue; return all that is left.

    Args:
        directory: That of `Resume`.
        images: Array of images.
        *callbacks: Further callbacks.
    """
    model = VAE(images.shape[1:], 2, 4)
    optimizer = keras.optimizers.Adam(0.01, epsilon=0.01, use_ema=True)
    model.compile(optimizer, run_eagerly=True)
    resume = Resume(directory, save_every=1, seed=7)
    options = {"batch_size": 4, "epochs": 2, "verbose": 0}
    history = model.fit(images, callbacks=[resume, *callbacks], **options)
    variables = [*model.get_weights(), *(v.numpy() for v in optimizer.variables)]
    found = np.concatenate([np.ravel(each) for each in variables], dtype="float32")
    return {"trained": found, "losses": history.history["loss"]}


def write_state(folder):
    """Write the last state of an interrupted training, and the end of the training."""
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(2, size=(20, 4, 5, 1)).astype("uint8")
    with tempfile.TemporaryDirectory() as work:
        try:
            resumed(work, images, Stop())
        except KeyboardInterrupt:
            pass
        (folder / "resume").mkdir()
        shutil.copy(max(pathlib.Path(work).glob("state-*.npz")), folder / "resume")
        ended = resumed(work, images)
    np.savez_compressed(folder / "resume.npz", images=images, **ended)


def main(folder):
    """Write all files into a new folder."""
    folder.mkdir()
    for name in MODELS:
        write_model(name, folder)
    for name in EXPORTS:
        write_export(name, folder)
    write_state(folder)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))
