"""Train a model on a folder of images, or a preset. Run it again to continue.

    genimg-train --data ./photos
    genimg-train --data ./photos --labels
    genimg-train --preset digits_diagonal
    genimg-train --preset DRAW/mnist_small --data fashion_mnist
    genimg-train --preset mnist_diagonal_1x32 --output outputs/mnist_1x32
    genimg-train --list

Without a preset, the images decide the size, the likelihood and the number of epochs,
for about ten minutes on two cores. Color images then train `PixelCNN/cifar10_small`,
which begins with its trained weights, unless `--set` changes the model. The weights of
the epoch that describes the held-out images best are kept. With a preset, its recipe
decides. If several families share a preset name, write FAMILY/NAME. The run folder
holds `config.json`, `log.csv`, pictures of samples in `samples/`, the states to
resume from in `states/`, the trained `model.keras`, and `report.json` with the nats of
the test images. It needs the extra `examples`.

Data is `digits`, which is embedded; a name of tensorflow_datasets, such as `mnist`,
`fashion_mnist`, `binarized_mnist`, `cifar10` or `svhn_cropped`, read from the folder
that TFDS_DATA_DIR names, or downloaded; `frey_face`, whose file you put into that
folder; or a folder of images, such as `./photos`. The model takes the size of the
images. With `--labels`, it learns to draw images of a class. The classes of a folder
are its subfolders, in the order of their names, which `config.json` lists.

With `--strategy multi_worker`, start the same command on each machine, with TF_CONFIG
set and an output folder that all of them share; see docs/tutorials/training.md.
"""

import argparse
import contextlib
import csv
import dataclasses
import importlib.metadata
import inspect
import json
import math
import os
import pathlib
import sys
import textwrap
import time
from typing import Any

from genimg_export.arguments import (
    command_parser,
    integer,
    positive,
    stopped_by_ctrl_c,
)
from genimg_export.preset_names import (
    argument_names,
    did_you_mean,
    find_preset,
    preset_names,
)

# A folder of images trains this preset, by default at most this large.
FOLDER_PRESET, FOLDER_SIZE = "PixelCNN/photo_patches", 32
# Color images train a larger model that begins with its trained weights.
COLOR_PRESET, COLOR_RATE = "cifar10_small", 1e-3
ORIENTATION = 0x0112  # The EXIF tag of a picture.
FOLDER_PIXELS, COLOR_PIXELS, FOLDER_EPOCHS = 40e6, 20e6, 100
ABOUT_TEN_MINUTES = ", about ten minutes on two cores; change with --epochs"
# These files of the run folder are the weights of the best epoch for held-out images,
# and the score of the weights that training begins with. `log.csv` is Keras', which has
# no row for them.
BEST, START, LOG = "best.weights.h5", "start.json", "log.csv"
SEED, TEST_SEED = 0, 777
HELD_OUT = 5000
IMAGENET_NOTE = (
    "The official downsampled images of today, which are easier than those of the "
    "papers, with 49,999 validation images: their bits per dimension do not compare."
)
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def parse_arguments():
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-train")
    add = parser.add_argument
    add("--list", action="store_true", help="print the presets")
    add("--preset", metavar="[FAMILY/]NAME", help="default: one that fits the images")
    data = "images to train on (default: those of the preset)"
    add("--data", type=image_source, help=data)
    labels = "train a model that draws images of a class; the classes of a folder are "
    labels += "its subfolders"
    add("--labels", action="store_true", help=labels)
    add("--image-size", type=integer(1), metavar="N", help="resize images to N by N")
    crop = "then crop them to N by N: anywhere in training, at the center in tests"
    add("--crop-size", type=integer(1), metavar="N", help=crop)
    flip = "mirror half of the training images left to right, drawn anew in each epoch"
    add("--random-flip", action="store_true", help=flip)
    epochs = "number of epochs (default: that of the recipe)"
    add("--epochs", type=integer(1), help=epochs)
    add("--batch-size", type=integer(1), metavar="N", help="default: the recipe's")
    rate = "highest learning rate (default: that of the recipe)"
    add("--learning-rate", type=positive(float), metavar="RATE", help=rate)
    add(
        "--set",
        type=named_value,
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="change an argument of the preset's model, such as num_glimpses=16; may "
        "be given several times",
    )
    held_out = "number of training images kept for validation (default: those that the "
    held_out += "data set has for it, else 5000 or a tenth)"
    add("--held-out", type=integer(0), metavar="N", help=held_out)
    samples = "images in a picture, 0 for none"
    add("--samples", type=integer(0), default=64, metavar="N", help=samples)
    bound = "samples of an image for the report's bound of its nats, where there is no "
    bound += "exact value (100)"
    add("--test-samples", type=integer(1), default=100, metavar="N", help=bound)
    devices = "train on all GPUs of this machine, or on those of several"
    add("--strategy", choices=("mirrored", "multi_worker"), help=devices)
    add("--mixed-precision", choices=("bfloat16", "float16"), help="dtype of layers")
    add(
        "--start-from",
        metavar="RUN",
        help="begin with the weights of another run folder, or `weights` for those "
        "of the preset in the package",
    )
    add("--save-every", type=integer(1), default=200, metavar="BATCHES")
    add("--output", type=pathlib.Path, help="run folder (default: in outputs/)")
    export = "publish as DIR/NAME/VERSION, named as the run folder is (extra `serving`)"
    add("--export", type=pathlib.Path, metavar="DIR", help=export)
    arguments = parser.parse_args()
    if not (arguments.data or arguments.preset or arguments.list):
        parser.error("--data, --preset or --list is needed")
    arguments.set = dict(arguments.set)
    check_names(parser, arguments)
    if arguments.strategy == "multi_worker" and "TF_CONFIG" not in os.environ:
        parser.error(
            "--strategy multi_worker needs the environment variable TF_CONFIG, with "
            "the addresses of all workers and the number of this one"
        )
    return arguments


def image_source(text):
    """Return the path of local images, or the name of a data set as it is."""
    path = pathlib.Path(text).expanduser()
    # Names of tensorflow_datasets may have slashes too.
    is_path = text.startswith((".", "~")) or path.is_absolute()
    is_path |= path.suffix == ".mat" or (os.sep in text and path.exists())
    return path if is_path else text


def check_names(parser, arguments):
    """End with an error if preset, data, `--set` or `--start-from` name nothing.

    This needs no TensorFlow, whose import takes seconds.
    """
    try:
        family, _ = find_preset(arguments.preset or FOLDER_PRESET)
    except ValueError as error:
        parser.error(str(error))
    data = arguments.data
    if isinstance(data, pathlib.Path) and not data.exists():
        kind = "file" if data.suffix == ".mat" else "folder"
        parser.error(f"There is no {kind} {str(data)!r}.")
    if isinstance(data, str) and not arguments.preset:
        parser.error(
            f"{data!r} is taken as a data set name, and needs --preset. For a folder, "
            f"write ./{data}."
        )
    known = argument_names(family)
    for name, value in arguments.set.items():
        if name not in known:
            parser.error(
                f"{family} has no argument {name}.{did_you_mean(name, known)} Its "
                f"arguments are {', '.join(known)}."
            )
        if name in ("num_classes", "condition_shape") and value is not None:
            parser.error(
                f"--set cannot change {name}. --labels takes the classes from the "
                f"images; other conditions need code of your own. Received: "
                f"{name}={value!r}"
            )
    if arguments.labels and "num_classes" not in known:
        others = [x for x in preset_names() if "num_classes" in argument_names(x)]
        parser.error(
            f"{family} takes no labels. Leave out --labels, or choose a preset of "
            f"{', '.join(others)}."
        )
    start = arguments.start_from
    if start not in (None, "weights"):
        if not pathlib.Path(start).is_dir():
            parser.error(f"--start-from: There is no folder {start!r}.")
        if not pathlib.Path(start, "model.keras").is_file():
            parser.error(
                f"--start-from: {start!r} holds no model.keras, which a run writes at "
                f"its end."
            )


def named_value(change):
    """Return name and value of `NAME=VALUE`; values that are no JSON are strings."""
    name, equals, value = change.partition("=")
    if not equals or not name.isidentifier():
        raise argparse.ArgumentTypeError(f"needs NAME=VALUE. Received: {change}")
    if name in ("image_shape", "likelihood", "scales"):
        raise argparse.ArgumentTypeError(
            f"cannot change {name}, which follows from data and preset"
        )
    try:
        return name, json.loads(value)
    except json.JSONDecodeError:
        return name, value


def set_first_weights(model, start_from, family, name):
    """Let a model begin with the weights of a run, or with those in the package.

    A model that takes labels gets those that fit.
    """
    import keras

    try:
        if start_from == "weights":
            other = family.from_preset(name, weights=True)
        else:
            other = keras.models.load_model(pathlib.Path(start_from, "model.keras"))
    except ValueError as error:
        sys.exit(f"--start-from {start_from} cannot be loaded: {error}")
    try:
        if len(model.inputs) > 1:
            print(set_fitting_weights(model, other))
        else:
            model.set_weights(other.get_weights())
    except ValueError as error:
        sys.exit(f"--start-from {start_from} has other weights than {name}: {error}")


def set_fitting_weights(model, other):
    """Give a model the weights of another that fit; return which do not, as a text.

    Those that the other one lacks are 0, except the embedding of classes. A model that
    takes labels then begins as the one without them, whatever the label.
    """
    given = {weight.path: weight for weight in other.weights}
    new = []
    for weight in model.weights:
        found = given.get(weight.path)
        if found is not None and found.shape == weight.shape:
            weight.assign(found.numpy())
            continue
        new.append(weight.path)
        if found is None and not weight.path.startswith("class_embedding/"):
            weight.assign(weight.numpy() * 0)
    count = len(model.weights) - len(new)
    return f"Weights: {count} are loaded, {len(new)} are new: {', '.join(new)}"


def images_in(data):
    """Return the images of an array, or of a dict of images and labels."""
    return data["images"] if isinstance(data, dict) else data


def image_options(arguments, preset):
    """Return the arguments of `datasets.load` that name and resize the images."""
    options: dict[str, Any] = dict(preset.data)
    if arguments.data is not None:
        options = {"name": arguments.data}
    for size in ("image_size", "crop_size"):
        if getattr(arguments, size) is not None:
            options[size] = getattr(arguments, size)
    if arguments.random_flip:
        options["random_flip"] = True
    return options


def fitting_size(folder):
    """Return a size for the images of a folder, or None if they can keep their own."""
    from keras_genimg.datasets.readers import visible_files
    from keras_genimg.extras import optional

    with optional("Reading image files needs Pillow", "examples"):
        from PIL import Image
    # `load` reports such files by name.
    unfit = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
    sizes = set()
    for file in visible_files(folder):
        with contextlib.suppress(*unfit), Image.open(file) as image:
            turned = image.getexif().get(ORIENTATION, 1) > 4  # `load` turns it so.
            sizes.add(image.size[::-1] if turned else image.size)
    if len(sizes) > 1:
        return FOLDER_SIZE, FOLDER_SIZE
    width, height = sizes.pop() if sizes else (1, 1)
    longest = max(width, height)
    if longest <= FOLDER_SIZE:
        return None
    return tuple(max(1, round(n * FOLDER_SIZE / longest)) for n in (height, width))


def fitting_likelihood(images):
    """Return a likelihood that keeps all levels of images from 0 to 255."""
    import numpy as np

    from keras_genimg import likelihoods

    if images.shape[-1] == 1:
        for count in range(2, 33):
            levels = np.round(np.arange(count) * 255 / (count - 1))
            if np.isin(images, levels).all():
                categorical = likelihoods.Categorical(count)
                return likelihoods.Bernoulli() if count == 2 else categorical
    return likelihoods.DiscretizedLogisticMixture()


def fit_to_images(arguments, options):
    """Return images and likelihood of a folder; complete the options for them."""
    from keras_genimg import datasets

    size = fitting_size(options["name"])
    if size is not None:
        options.setdefault("image_size", size)
    images = images_in(datasets.as_array(datasets.load(split="all", **options)))
    if images.shape[-1] == 1:  # Strokes depend on distant pixels, textures do not.
        width = min(2 * max(images.shape[1:3]) - 1, FOLDER_SIZE - 1)
        arguments.set.setdefault("first_kernel_size", width)
    return images, fitting_likelihood(images)


def rounding_notice(batches, likelihood):
    """Return what a likelihood takes from images from 0 to 255, "" for nothing."""
    if likelihood.num_values is None or likelihood.num_values >= 256:
        return ""
    to_display, from_display = likelihood.to_display, likelihood.from_display
    arrays = (images.numpy() for images in batches)
    if all((to_display(from_display(x)) == x).all() for x in arrays):
        return ""
    if likelihood.binarizes:
        return "This preset makes gray levels black or white at random in each epoch.\n"
    return (
        f"This preset rounds your pixels to {likelihood.num_values} levels. Leave out "
        f"--preset to keep them all.\n"
    )


def load_splits(options, batch_size, held_out, likelihood):
    """Return training images in batches, and arrays of held-out and of test images.

    Only training images are shuffled, cropped, mirrored and binarized anew in each
    epoch.
    """
    from keras_genimg import datasets

    name = options["name"]
    options = {**options, "likelihood": likelihood}
    once = {**options, "seed": TEST_SEED, "batch_size": 1000, "random_flip": False}
    if likelihood.binarizes:
        once["binarize"] = "fixed"
    train, held, test = "train", "validation", "test"
    if not isinstance(name, pathlib.Path) or held_out is not None:
        size = int(
            datasets.load(split="train", **{**once, "batch_size": 1}).cardinality()
        )
        if str(name).startswith("downsampled_imagenet"):
            test = "validation"  # The papers report it.
        if held_out is not None or not has_validation_split(name):
            count = min(HELD_OUT, size // 10) if held_out is None else held_out
            if count >= size:
                raise ValueError(
                    f"--held-out must be below {size}, the number of training images. "
                    f"Received: {count}"
                )
            train, held = f"train[:{size - count}]", f"train[{size - count}:]"
            if count == 0:
                held = None
    return (
        datasets.load(
            split=train,
            batch_size=batch_size,
            shuffle=True,
            random_crop="crop_size" in options,
            **options,
        ),
        held and datasets.as_array(datasets.load(split=held, **once)),
        datasets.as_array(datasets.load(split=test, **once)),
    )


def has_validation_split(name):
    """Return whether a data set has validation images that are no test images."""
    import tensorflow_datasets as tfds

    from keras_genimg.datasets.readers import READERS

    if isinstance(name, pathlib.Path) or name in READERS:
        return False
    if name.startswith("downsampled_imagenet"):
        return False  # The papers report its validation images, so they are the test.
    builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    return "validation" in builder.info.splits


def data_facts(options, train, held_out, test):
    """Return which version of the data was used, and how many images of it."""
    import tensorflow_datasets as tfds

    from keras_genimg import datasets

    name = str(options["name"])
    facts = {
        "data_version": name,
        "train_split": train.epochs.description["split"],
        "held_out_images": 0 if held_out is None else len(images_in(held_out)),
        "test_images": len(images_in(test)),
    }
    if isinstance(options["name"], pathlib.Path) or name in datasets.READERS:
        return facts
    builder = tfds.builder(name, data_dir=os.environ.get("TFDS_DATA_DIR"))
    facts["data_version"] = builder.info.full_name
    if name.startswith("downsampled_imagenet"):
        facts["data_note"] = IMAGENET_NOTE
    return facts


def size_options(preset, image_shape):
    """Return the constructor's arguments that follow from the size of the images.

    Scales keep their ratios to the image.
    """
    options: dict[str, Any] = {"image_shape": tuple(image_shape)}
    if "scales" in preset.config:
        size, own = image_shape[:2], preset.config["image_shape"][:2]
        options["scales"] = tuple(
            tuple(scale * n // o for n, o in zip(size, own, strict=True))
            for scale in preset.config["scales"]
        )
    return options


def make_strategy(name):
    """Return a strategy, or None to train on one device."""
    import tensorflow as tf

    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy() if name == "mirrored" else None


def check_same_run(path, config):
    """Exit if a run folder holds another run, before anything in it is changed."""
    if not path.exists():
        return
    saved = json.loads(path.read_text())
    for key in config.keys() - {"versions"}:
        if saved.get(key, {} if key == "set" else None) != config[key]:
            sys.exit(
                f"{path.parent} holds a run with {key}={saved.get(key)!r}. Use another "
                f"--output. Received: {key}={config[key]!r}"
            )


def write_json(path, content):
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=1) + "\n")


def nats_of(model, images, num_samples, **options):
    """Return the nats of images by name.

    The `nats` of models with latent variables are a bound by `num_samples` samples;
    their `elbo` is the looser bound that they are trained on.
    """
    if not hasattr(model, "elbo"):
        return {"nats": -model.log_prob(images)}
    options |= {"num_samples": num_samples, "seed": TEST_SEED}
    bound = model.log_prob(images, **options)
    return {"nats": -bound, "elbo": -model.elbo(images, seed=TEST_SEED)}


def mean_of(name, values):
    """Return the mean of an array and its standard error, by name."""
    error = values.std() / math.sqrt(max(len(values) - 1, 1))
    return {
        name: round(float(values.mean()), 4),
        f"{name}_standard_error": round(float(error), 4),
    }


def report_of(model, test, num_samples):
    """Return the mean nats of the test images with standard error."""
    found = nats_of(model, test, num_samples)
    images = images_in(test)
    report: dict[str, Any] = {"images": len(images), "weights": model.count_params()}
    if "elbo" in found:
        report["num_samples"] = num_samples
    for name, nats in found.items():
        report |= mean_of(name, nats)
    bits = report["nats"] / math.prod(images.shape[1:]) / math.log(2)
    return {**report, "bits_per_dim": bits}


def run_config(arguments, preset_name, recipe, options):
    """Return the settings of a run, which those of its folder must equal."""
    return {
        "preset": preset_name,
        "data": {key: str(value) for key, value in options.items()},
        "held_out": arguments.held_out,
        "epochs": recipe.epochs,
        "batch_size": recipe.batch_size,
        "mixed_precision": arguments.mixed_precision,
        "learning_rate": arguments.learning_rate,
        "set": arguments.set,
        "start_from": arguments.start_from,
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
    }


def optimizer_facts(optimizer):
    """Return the class and the settings of an optimizer as JSON values."""
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        config["learning_rate"] = {"schedule": rate["class_name"], **rate["config"]}
    given = {key: value for key, value in config.items() if value is not None}
    return {**given, "name": type(optimizer).__name__}


def changed_recipe(recipe, arguments):
    """Return the recipe of a preset with the options of the command line."""
    names = ("epochs", "batch_size", "learning_rate")
    changes = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, **given)


def make_model(family, name, likelihood, image_shape, class_names, arguments):
    """Return the model of a preset for images of a size, with its first weights."""
    options = size_options(family.presets[name], image_shape) | arguments.set
    if class_names:
        options["num_classes"] = len(class_names)
    options["likelihood"] = likelihood
    try:
        model = family.from_preset(name, name=name, **options)
    except (TypeError, ValueError) as error:
        sys.exit(f"The model cannot be built: {error}")
    if arguments.start_from:
        set_first_weights(model, arguments.start_from, family, name)
    return model


def names_of_classes(train):
    """Return the names of the classes of training images, None without labels."""
    if not isinstance(train.element_spec, dict):
        return None
    if hasattr(train, "class_names"):
        return train.class_names
    largest = max(int(batch["label"].numpy().max()) for batch in train)
    return [str(label) for label in range(largest + 1)]


def labels_of_samples(count, num_classes):
    """Return labels of the images in a picture, a class per row, and its columns."""
    import numpy as np

    columns = max(count // num_classes, 1)
    return np.repeat(np.arange(num_classes), columns)[:count], columns


def make_callbacks(output, epochs, arguments, chief, has_held_out, class_names):
    """Return the callbacks of a run. The chief alone writes log and weights."""
    import keras

    from keras_genimg.callbacks import Resume, SampleGrid

    class FirstBar(keras.callbacks.Callback):
        """Show the progress bar while the first step compiles."""

        def on_epoch_begin(self, epoch, logs=None):
            self.bar = getattr(self, "bar", keras.utils.Progbar(self.params["steps"]))

        def on_train_batch_begin(self, batch, logs=None):
            if self.bar is not None:
                self.bar.update(batch)
            self.bar = None

    callbacks: list[Any] = []
    if chief and has_held_out:
        best = keras.callbacks.ModelCheckpoint(
            str(output / BEST),
            monitor="val_loss",
            mode="min",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=best_epoch(output)[1],
        )
        callbacks.append(best)
    if chief:
        callbacks.append(keras.callbacks.CSVLogger(str(output / LOG), append=True))
    if arguments.samples:
        every = max(epochs // 10, 1)
        conditions, columns = None, None
        if class_names:
            conditions, columns = labels_of_samples(arguments.samples, len(class_names))
        grid = SampleGrid(
            output / "samples",
            arguments.samples if conditions is None else len(conditions),
            every=every,
            conditions=conditions,
            columns=columns,
        )
        callbacks.append(grid)
    callbacks.append(Resume(output / "states", arguments.save_every))
    if sys.stdout.isatty():
        callbacks.append(FirstBar())
    return callbacks


def held_out_losses(output):
    """Return the losses of held-out images by epoch; 0 is the start, if scored."""
    losses = {}
    if (output / START).exists():
        losses[0] = json.loads((output / START).read_text())["val_loss"]
    if (output / LOG).exists():
        with (output / LOG).open() as file:
            for row in csv.DictReader(file):  # Keras counts from 0.
                losses[int(row["epoch"]) + 1] = float(row.get("val_loss") or "nan")
    return {epoch: loss for epoch, loss in losses.items() if math.isfinite(loss)}


def best_epoch(output):
    """Return the best epoch for the held-out images, and their loss, or None twice."""
    losses = held_out_losses(output)
    return min(losses.items(), key=lambda item: item[1], default=(None, None))


def score_start(model, held_out, epochs, output, chief):
    """Score the weights that a run begins with as its epoch 0, if nobody has yet.

    They are kept until an epoch is better. All workers must call this. The noise of
    training stays what it would be without the score, so that a run that was killed
    early ends with the same weights as one that was not.
    """
    from keras_genimg.files import atomic_path
    from keras_genimg.ops.workers import sum_over_workers

    strategy = model.distribute_strategy
    if not sum_over_workers(strategy, float(not (output / START).exists())):
        return
    with strategy.scope():  # The file of weights has the optimizer's variables too.
        model.optimizer.build(model.trainable_variables)
    states = [(v, v.numpy()) for v in model.non_trainable_variables]
    loss = model.evaluate(held_out, verbose=0, return_dict=True)["loss"]
    for variable, value in states:
        variable.assign(value)
    if chief:
        _, best = best_epoch(output)
        if best is None or loss < best:
            model.save_weights(output / BEST)
        with atomic_path(output / START) as unfinished:
            write_json(unfinished, {"val_loss": loss})
        print(f"Epoch 0/{epochs}, before training - val_loss: {loss:.4f}", flush=True)


def keep_best(model, held_out, output):
    """Give a trained model its best weights, if better; return which weights it has."""
    average = ", averaged over the last steps" if model.optimizer.use_ema else ""
    trained = f"the end of training{average}"
    if not (output / BEST).exists():
        return trained
    epoch, loss = best_epoch(output)
    # NaN is not better, where training diverged.
    if model.evaluate(held_out, verbose=0, return_dict=True)["loss"] <= loss:
        return trained
    model.load_weights(output / BEST)
    kept = f"{f'epoch {epoch}' if epoch else 'the start'}, best for held-out images"
    print(f"Kept: the weights of {kept}.", flush=True)
    return kept


def what_to_try(losses, epochs, output, dimensions):
    """Return what to try after a folder was trained, from the run itself.

    Args:
        losses: See `held_out_losses`.
        epochs: Number of epochs.
        output: Run folder.
        dimensions: Number of sub-pixels of an image.
    """
    bits = {epoch: x / dimensions / math.log(2) for epoch, x in losses.items()}
    if not bits:
        return (
            "What to try next: more images, so that --held-out can keep some of them "
            "to judge each epoch by."
        )
    if epochs not in bits:
        return (
            f"What to try next: a lower --learning-rate. Training diverged after "
            f"epoch {max(bits)}."
        )
    best = min(bits, key=bits.__getitem__)
    reached = f"{bits[best]:.3f} bits per dimension, {bits[epochs]:.3f} at the end"
    if best == 0:
        return (
            f"What to try next: a lower --learning-rate, or more images. No epoch "
            f"described the held-out images better than the weights that training "
            f"began with ({reached})."
        )
    if best < 0.9 * epochs:
        return (
            f"What to try next: more images. The held-out ones were described best "
            f"after epoch {best} of {epochs} ({reached}); more epochs would learn the "
            f"training images by heart."
        )
    # The rate falls to 0, so the very last epochs change little in any run.
    recent = max(epochs // 4, 1)
    before = bits.get(epochs - recent)
    longer = f"train twice as long with --epochs {2 * epochs} --output {output}_longer"
    if before is None:
        return f"What to try next: {longer}. One epoch is too short to judge by."
    lately = f"In the last {recent} epochs" if recent > 1 else "In the last epoch"
    change = f"from {before:.3f} to {bits[best]:.3f} bits per dimension"
    if before - bits[best] < 0.001 * bits[best]:
        return (
            f"What to try next: more images or a larger model. {lately}, held-out "
            f"images went {change}: training has settled."
        )
    return (
        f"What to try next: {longer}. Still improving: {lately.lower()}, held-out "
        f"images went {change}."
    )


def print_presets():
    """Print all presets, each with its description."""
    from keras_genimg.presets import FAMILIES, presets_with_weights

    for family, presets in FAMILIES.items():
        trained = presets_with_weights(family)
        for name, preset in presets.items():
            print(f"{family}/{name}{' (weights)' if name in trained else ''}")
            print(textwrap.indent(textwrap.fill(preset.description, 84), "    "))


def main():
    """Train, or print the presets."""
    with stopped_by_ctrl_c("Stopped. Run the same command to continue."):
        run_command(parse_arguments())


def run_command(arguments):
    """Do what the command line asks for."""
    from genimg_export.quiet_start import import_tensorflow

    if arguments.list:
        import_tensorflow()
        return print_presets()
    print("[1/4] Starting TensorFlow", flush=True)
    import_tensorflow()
    import keras
    from genimg_export.export_model import what_next

    from keras_genimg import datasets, likelihoods, models
    from keras_genimg.ops.devices import num_cores
    from keras_genimg.ops.workers import is_chief, sum_over_workers

    strategy = make_strategy(arguments.strategy)  # Before TensorFlow does anything.
    chief = strategy is None or is_chief(strategy)
    keras.utils.set_random_seed(SEED)
    if arguments.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{arguments.mixed_precision}")
    family, name = find_preset(arguments.preset or FOLDER_PRESET)
    family = getattr(models, family)
    preset = family.presets[name]
    if arguments.preset and not preset.recipe.tried:
        print(
            f"No model was trained to the end by the recipe of {name}; it is a guess."
        )
    recipe = changed_recipe(preset.recipe, arguments)
    options = image_options(arguments, preset)
    if arguments.labels:
        options["labels"] = True
    run = f"{family.__name__}_{name}"
    if not arguments.preset:
        run = pathlib.Path(options["name"]).resolve().stem
    output = arguments.output or pathlib.Path("outputs", run)
    print(f"[2/4] Reading {options['name']}", flush=True)
    default = inspect.signature(family).parameters["likelihood"].default
    likelihood = likelihoods.get(preset.config.get("likelihood", default))
    try:
        if not arguments.preset:
            images, likelihood = fit_to_images(arguments, options)
            if images.shape[-1] == 3 and not arguments.set:
                name = COLOR_PRESET
                recipe = dataclasses.replace(
                    family.presets[name].recipe, learning_rate=COLOR_RATE
                )
                recipe = changed_recipe(recipe, arguments)
                arguments.start_from = arguments.start_from or "weights"
        elif arguments.data:
            batches = datasets.load(batch_size=1000, **{**options, "labels": False})
            print(end=rounding_notice(batches, likelihood), flush=True)
        train, held_out, test = load_splits(
            options, recipe.batch_size, arguments.held_out, likelihood
        )
    except (ValueError, FileNotFoundError) as error:
        data, hint = options["name"], ""
        if isinstance(data, str) and pathlib.Path(data).is_dir():
            hint = f". For the folder of that name, pass --data ./{data}"
        sys.exit(f"{error}{hint}")
    shape, class_names = images_in(test).shape[1:], names_of_classes(train)
    if not (arguments.preset or arguments.epochs):
        pixels = len(train) * recipe.batch_size * math.prod(shape[:2])
        budget = COLOR_PIXELS if name == COLOR_PRESET else FOLDER_PIXELS
        epochs = min(max(round(budget / pixels), 1), FOLDER_EPOCHS)
        recipe = dataclasses.replace(recipe, epochs=epochs)
    if not arguments.preset:
        trained = arguments.start_from == "weights"
        print(
            f"Images: {len(images)} of {options['name']}, {shape[0]}x{shape[1]}, "
            f"{'gray' if shape[2] == 1 else 'color'}"
            f"{', resized' if 'image_size' in options else ''}, all "
            f"{likelihood.num_values} levels\n"
            f"Model: {family.__name__}/{name}, {likelihood}"
            f"{', from its trained weights' if trained else ''}\n"
            f"Training: {recipe.epochs} epochs"
            f"{'' if arguments.epochs else ABOUT_TEN_MINUTES}"
        )
    if class_names:
        print(f"Classes: {len(class_names)}, {', '.join(class_names)}")
    config = run_config(arguments, f"{family.__name__}/{name}", recipe, options)
    check_same_run(output / "config.json", config)

    print(f"[3/4] Building {family.__name__}/{name}", flush=True)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make_model(family, name, likelihood, shape, class_names, arguments)
        model.compile(recipe.optimizer(len(train)))
    if chief:
        output.mkdir(parents=True, exist_ok=True)
        facts = {"seed": SEED, "optimizer": optimizer_facts(model.optimizer)}
        if class_names:
            facts["class_names"] = class_names
        write_json(output / "config.json", {**config, **facts})

    print(
        "[4/4] Training (checking and compiling first; may take a minute)", flush=True
    )
    start = time.monotonic()
    if arguments.start_from and held_out is not None:
        score_start(model, held_out, recipe.epochs, output, chief)
    model.fit(
        train,
        epochs=recipe.epochs,
        validation_data=held_out,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=make_callbacks(
            output, recipe.epochs, arguments, chief, held_out is not None, class_names
        ),
    )
    seconds = time.monotonic() - start
    # This also waits until the first worker has saved.
    replicas_here = len(strategy.extended.worker_devices) if strategy else 1
    share = num_cores() / replicas_here
    cores = round(sum_over_workers(model.distribute_strategy, share))
    kept = keep_best(model, held_out, output)
    model.save(output / "model.keras")
    report = {
        **config,
        "likelihood": str(likelihood),
        "weights_of": kept,
        **data_facts(options, train, held_out, test),
        **report_of(model, test, arguments.test_samples),
        "seconds_of_last_start": seconds,
        "cores": cores,
    }
    if chief:
        write_json(output / "report.json", report)
        print(json.dumps(report, indent=1))
        if not arguments.preset:
            losses = held_out_losses(output)
            print(what_to_try(losses, recipe.epochs, output, math.prod(shape)))
    if arguments.export:
        from keras_genimg.serving import publish

        path = publish(model, arguments.export, output.name, batch_sizes=(1, 8, 32))
        print(what_next(path) if chief else "")
    elif chief:
        print(
            f"To serve it:\n  genimg-export {output / 'model.keras'} --name "
            f"{output.name} --base-dir served\n  genimg-serve --base-dir served"
        )


if __name__ == "__main__":
    main()
