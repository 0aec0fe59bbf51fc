"""Measure the nats of all test images: those of a preset's weights, or of a run.

    python examples/evaluate.py PixelRNN/mnist_diagonal_1x32
    python examples/evaluate.py PixelRNN/mnist_diagonal_1x32 --data binarized_mnist
    python examples/evaluate.py outputs/mnist_1x32 --card keras_genimg/presets/trained
    python examples/evaluate.py outputs/classes --preset PixelCNN/mnist_classes
    python examples/evaluate.py outputs/orders --preset OrientedModel/mnist

A preset's name loads its trained weights and prints what they reach, with the figures
of their card. A folder that `genimg-train` wrote gives the weights of the run, rounded
to half precision. `--card` writes weights and card of a run as files of the package,
and adds the figures of a preset to its card. `--preset` names the preset that they
become, if the run trained a model of this preset by the name of another one, as
`genimg-train --preset PixelCNN/mnist` does with `--labels` or `--orders`. Binary test
images are binarized once, with the seed that the card names; `binarized_mnist` is the
fixed set of the papers, and the test set of what was trained on it. Images of 256
levels are also written as PNG and WebP files and, with the package `pillow-jxl-plugin`,
as JPEG XL, all lossless, to compare the bits.

Autoregressive models also generate 768 images and compute their nats. The entropies of
the sub-pixels, each given those drawn before it, are what these nats are on average if
the images are drawn from the model: the mean of the difference is 0, up to its standard
error. A likelihood that couples the colors has no such entropies, nor has a mixture of
several orders. Nats of drawn and of
test images differ if the model differs from the data.

Data sets are read from the folder that TFDS_DATA_DIR names, or downloaded.
"""

import contextlib
import importlib
import json
import math
import pathlib
import sys
from typing import Any

from genimg_export.arguments import command_parser
from genimg_export.preset_names import find_preset

FIRST = 1000
# Sets of pixels that are 0 or 1 for good, by the set that they were drawn from once.
FIXED_BITS = {"binarized_mnist": "mnist"}
NUM_DRAWN, DRAWN_SEED = 768, 0
MNIST_LICENSE = "MNIST: CC BY-SA 3.0, Yann LeCun and Corinna Cortes"
LICENSES = {
    "mnist": MNIST_LICENSE,
    "binarized_mnist": f"{MNIST_LICENSE}; bits of Salakhutdinov and Murray, 2008",
    "cifar10": "CIFAR-10: Alex Krizhevsky, 2009; its site states no license",
}


def drawn_nats_of(model):
    """Return the nats of images that an autoregressive model generates, of all classes.

    The mean of `nats_minus_entropies` is 0 for a sampler that agrees with the model. It
    is left out if the colors of a pixel are coupled, or the model is a mixture of
    several orders.
    """
    import numpy as np
    import tensorflow as tf

    from keras_genimg.commands.reports import mean_of
    from keras_genimg.models import OrientedModel

    labels = None
    if model.class_names:
        labels = {"label": np.arange(NUM_DRAWN) % len(model.class_names)}
    images = model.generate(NUM_DRAWN, seed=DRAWN_SEED, conditions=labels)
    inputs = {"images": images, **labels} if labels else images
    nats = -model.log_prob(inputs, verbose=0)
    found = {"images": NUM_DRAWN, "seed": DRAWN_SEED, **mean_of("nats", nats)}
    is_mixture = isinstance(model, OrientedModel)
    if not is_mixture and not model.likelihood.couples_colors:
        params = tf.constant(model.predict(inputs, verbose=0))
        entropies = model.likelihood.distribution(params).entropy()
        expected = tf.reduce_sum(entropies, axis=(1, 2, 3)).numpy()
        found |= mean_of("nats_minus_entropies", nats - expected)
    return found


def bits_of(report, images):
    """Return the bits per dimension of nats, and those of image files."""
    from color_patches import FILES, file_bits

    files = dict(FILES)
    with contextlib.suppress(ImportError):
        importlib.import_module("pillow_jxl")  # Makes Pillow write JPEG XL.
        files["JPEG XL, lossless"] = {"format": "JXL", "lossless": True, "effort": 10}
    bits = report["nats"] / math.prod(images.shape[1:]) / math.log(2)
    of_files = {name: round(file_bits(images, **how), 4) for name, how in files.items()}
    return {"bits_per_dim": round(bits, 4), "bits_per_dim_of_files": of_files}


def report_of(model, images, num_samples):
    """Return nats with their standard error, of all images and of the first ones.

    Args:
        model: A model.
        images: Array of images, or a dict of images and labels.
        num_samples: Samples of an image for a bound of its nats.
    """
    from keras_genimg.commands.reports import mean_of, nats_of
    from keras_genimg.commands.training_images import images_in

    found = nats_of(model, images, num_samples, batch_size=100)
    report: dict[str, float] = {"images": len(images_in(images))}
    for name, nats in found.items():
        report |= mean_of(name, nats)
        report[f"{name}_of_first_{FIRST}"] = round(float(nats[:FIRST].mean()), 4)
    if "elbo" in found:
        report["num_samples"] = num_samples
    return report


def data_of(preset, name=None):
    """Return the arguments of `load` for a preset's images, or for a set like them."""
    from keras_genimg.presets import FAMILIES

    family, own_name = preset.split("/")
    data = FAMILIES[family][own_name].data
    return {**data, "name": name or data["name"]}


def as_written(data):
    """Return arguments of `load` as the `config.json` of a run has them."""
    return {key: str(value) for key, value in data.items()}


def command_of(config):
    """Return the command that made a run."""
    command = f"genimg-train --preset {config['preset']}"
    own = as_written(data_of(config["preset"]))
    for name, value in config["data"].items():
        if value != own.get(name):
            option = "data" if name == "name" else name.replace("_", "-")
            command += f" --{option}" if value == "True" else f" --{option} {value}"
    options = ("epochs", "batch_size", "held_out", "mixed_precision")
    for name in (*options, "learning_rate", "start_from"):
        if config.get(name) is not None:
            command += f" --{name.replace('_', '-')} {config[name]}"
    if config.get("orders"):
        command += " --orders"
    for name, value in config.get("set", {}).items():
        command += f" --set {name}={json.dumps(value)}"
    return command


def started_from(config):
    """Return how the weights were made that a run began with, or None."""
    from keras_genimg.presets import read_card

    start = config.get("start_from")
    if start is None:
        return None
    if start == "weights":
        return read_card(*config["preset"].split("/"))
    run = pathlib.Path(start)
    before = json.loads((run / "config.json").read_text())
    return {
        "command": f"{command_of(before)} --output {start}",
        "seconds_of_last_start": round(
            json.loads((run / "report.json").read_text())["seconds_of_last_start"]
        ),
        "curve": (run / "log.csv").read_text().splitlines(),
        "started_from": started_from(before),
    }


def how_images_were_made(config, trained, binarizes):
    """Return what a card says of images for training, holding out and testing.

    Args:
        config: Content of `config.json` of a run.
        trained: Content of its `report.json`.
        binarizes: Whether the model's likelihood has gray levels drawn as bits.
    """
    from keras_genimg.commands.training_images import TEST_SEED

    training, test = "as is", "as is"
    if config["data"]["name"] in FIXED_BITS:
        training, test = "fixed bits", "fixed bits"
    elif binarizes:
        training = "binarized again in each epoch"
        test = f"binarized once, with seed {TEST_SEED}"
    if "random_flip" in config["data"]:
        training += ", half of them mirrored, drawn again in each epoch"
    count = trained.get("held_out_images", 5000)  # Older runs do not say.
    held_out = f"the last {count:,} training images" if count else "none"
    if count and trained.get("train_split") == "train":
        held_out = f"its validation split, {count:,} images"
    return {"training_images": training, "held_out": held_out, "test_images": test}


def card_of(run, preset, model, report):
    """Return how the weights of a preset were trained and what they reach."""
    config = json.loads((run / "config.json").read_text())
    trained = json.loads((run / "report.json").read_text())
    curve = (run / "log.csv").read_text().splitlines()
    return {
        "preset": preset,
        "data": config["data"],
        "data_version": trained.get("data_version"),
        "license": LICENSES[config["data"]["name"]],
        **how_images_were_made(config, trained, model.likelihood.binarizes),
        "command": command_of(config),
        "seed": config.get("seed"),  # Older runs say none of these.
        "optimizer": config.get("optimizer"),
        "weights_of": trained.get("weights_of"),
        "epochs": config["epochs"],
        "batch_size": config["batch_size"],
        "seconds_of_last_start": round(trained["seconds_of_last_start"]),
        "cores": trained.get("cores"),
        "weights": model.count_params(),
        **report,
        "versions": config["versions"],
        "curve": curve,
        "started_from": started_from(config),
    }


def check_weights_fit(model, preset):
    """End the process unless the weights of a model have the shapes of a preset."""
    from keras_genimg import models

    family, name = preset.split("/")
    expected = getattr(models, family).from_preset(name)
    shapes, known = ([w.shape for w in m.weights] for m in (model, expected))
    if shapes != known:
        sys.exit(f"--preset {preset} has other weights than the model of the run")


def main():
    """Run the whole example."""
    parser = command_parser(__doc__)
    add = parser.add_argument
    add("model", metavar="FAMILY/PRESET | RUN", help="a preset, or a run folder")
    add("--preset", metavar="FAMILY/PRESET", help="preset of a run (what it trained)")
    add("--data", choices=["binarized_mnist"], help="test images (those of the preset)")
    add("--images", type=int, metavar="N", help="only the first N test images")
    add("--samples", type=int, default=5000, help="samples an image for log p (5000)")
    add("--card", type=pathlib.Path, metavar="DIR", help="write card and weights here")
    arguments = parser.parse_args()
    if arguments.card and arguments.images:
        parser.error("--card describes all test images, so leave out --images")

    run = pathlib.Path(arguments.model)
    is_run = (run / "model.keras").is_file()
    try:
        if not is_run:
            family, name = find_preset(arguments.model)
        elif arguments.preset:
            find_preset(arguments.preset)
    except ValueError as error:
        hint = "" if is_run else f"{run} is no folder of genimg-train. "
        parser.error(f"{hint}{error}")
    if arguments.preset and not is_run:
        parser.error("--preset is for a run folder")

    from genimg_export.quiet_start import import_tensorflow

    import_tensorflow()
    import keras
    import numpy as np

    from keras_genimg import datasets, models
    from keras_genimg.commands.training_images import TEST_SEED
    from keras_genimg.presets import read_card, write_weights

    card = None
    if is_run:
        if arguments.card and arguments.data:
            parser.error("--card of a run begins without --data")
        config = json.loads((run / "config.json").read_text())
        preset = arguments.preset or config["preset"]
        own, found = data_of(preset), dict(config["data"])
        found.pop("random_flip", None)  # Test images are as they are.
        if FIXED_BITS.get(found["name"]) == own["name"]:
            own = data_of(preset, found["name"])
        if found != as_written(own):
            sys.exit(
                f"{run} was not trained on the images of its preset, {own}. Received: "
                f"{found}"
            )
        if arguments.card and config["data"]["name"] not in LICENSES:
            sys.exit(f"--card needs a license of {config['data']['name']} in LICENSES")
        if arguments.card and config.get("set"):
            sys.exit(
                f"--card is for a preset as it is, and {run} changed {config['set']}"
            )
        if arguments.card:  # Before the evaluation, which takes long.
            try:
                started_from(config)
            except OSError as error:
                sys.exit(f"--card describes the run before {run}, too: {error}")
        model = keras.models.load_model(run / "model.keras")
        if arguments.preset:
            check_weights_fit(model, preset)
        rounded = [np.asarray(w, "float16") for w in model.get_weights()]
        model.set_weights([w.astype("float32") for w in rounded])
    else:
        try:
            model = getattr(models, family).from_preset(name, weights=True)
        except ValueError as error:
            sys.exit(str(error))
        card = read_card(family, name)
        own = data_of(card["preset"], card["data"]["name"])
    options = {"likelihood": model.likelihood, "seed": TEST_SEED}
    data = {"name": arguments.data} if arguments.data else own
    test = datasets.as_array(datasets.load(split="test", **data, **options))
    test = keras.tree.map_structure(lambda array: array[: arguments.images], test)
    found = report_of(model, test, arguments.samples)
    if model.likelihood.num_values == 256:
        found |= bits_of(found, test)
    report: dict[str, Any] = {arguments.data: found} if arguments.data else found
    if hasattr(model, "complete"):  # Autoregressive.
        report["drawn"] = drawn_nats_of(model)
    print(json.dumps(report, indent=1))
    if card is not None:
        print("The card of the weights:")
        print(json.dumps({k: card[k] for k in card if k in report}, indent=1))
    if arguments.card:
        if card is None:
            card = card_of(run, preset, model, report)
        else:
            card |= report
        owner, name = card["preset"].split("/")
        path = arguments.card / f"{owner}-{name}.json"
        path.write_text(json.dumps(card, indent=1) + "\n")
        if is_run:
            write_weights(arguments.card, owner, name, model.get_weights())
        print(f"Wrote {path}")


if __name__ == "__main__":
    main()
