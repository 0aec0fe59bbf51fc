"""Training by the command `genimg-train`, whose options `genimg_export` parses."""

import contextlib
import dataclasses
import functools
import importlib.metadata
import inspect
import json
import math
import pathlib
import sys
import time
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from keras_genimg import datasets, likelihoods, models
from keras_genimg.callbacks import Resume, SampleGrid
from keras_genimg.commands.best_epoch import (
    BEST,
    LOG,
    best_epoch,
    held_out_losses,
    keep_best,
    score_start,
    what_to_try,
)
from keras_genimg.commands.final_pictures import write_pictures
from keras_genimg.commands.label_effect import label_effect
from keras_genimg.commands.reports import report_of
from keras_genimg.commands.training_images import (
    data_facts,
    fit_to_images,
    image_options,
    images_in,
    load_splits,
    rounding_notice,
    size_options,
    subfolders_notice,
)
from keras_genimg.models import GenerativeModel
from keras_genimg.models.oriented_model import oriented_model
from keras_genimg.ops.devices import num_cores
from keras_genimg.ops.workers import is_chief, sum_over_workers
from keras_genimg.presets import Recipe

# A folder of color images trains a larger model that begins with its trained weights.
COLOR_PRESET, COLOR_RATE = "cifar10_small", 1e-3
FOLDER_PIXELS, COLOR_PIXELS, FOLDER_EPOCHS = 40e6, 20e6, 100
ABOUT_TEN_MINUTES = ", about ten minutes on two cores; change with --epochs"
SEED = 0
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


@dataclasses.dataclass
class Run:
    """A training run: a preset, changed by the command line and by the images.

    Attributes:
        arguments: Options of the command line.
        family: Class of the model.
        name: Name of its preset.
        recipe: The `Recipe` that trains it.
        options: Arguments of `datasets.load`, see `image_options`.
        likelihood: Likelihood of the model.
        output: Run folder.
        strategy: Strategy of several devices, or None.
        train: Training images in batches.
        held_out: Images, or a dict of images and labels, to judge each epoch by; None
            if there are none.
        test: Images, or a dict, for the report.
    """

    arguments: Any
    family: type
    name: str
    recipe: Recipe
    options: dict[str, Any]
    likelihood: likelihoods.Likelihood
    output: pathlib.Path
    strategy: tf.distribute.Strategy | None
    train: Any = None
    held_out: Any = None
    test: Any = None

    @property
    def preset(self):
        """Family and name of the preset, as command lines have them."""
        return f"{self.family.__name__}/{self.name}"

    @property
    def chief(self):
        """Whether this process writes the files of the run."""
        return self.strategy is None or is_chief(self.strategy)

    @property
    def image_shape(self):
        """Height, width and colors of an image."""
        return images_in(self.test).shape[1:]

    @functools.cached_property
    def class_names(self):
        """Names of the classes of the training images, None without labels."""
        if not isinstance(self.train.element_spec, dict):
            return None
        if hasattr(self.train, "class_names"):
            return self.train.class_names
        largest = max(int(batch["label"].numpy().max()) for batch in self.train)
        return [str(label) for label in range(largest + 1)]

    @property
    def config(self):
        """The settings of a run, which those of its folder must equal."""
        arguments, recipe = self.arguments, self.recipe
        return {
            "preset": self.preset,
            "data": {key: str(value) for key, value in self.options.items()},
            "held_out": arguments.held_out,
            "epochs": recipe.epochs,
            "batch_size": recipe.batch_size,
            "mixed_precision": arguments.mixed_precision,
            "learning_rate": arguments.learning_rate,
            "set": arguments.set,
            "orders": arguments.orders,
            "start_from": arguments.start_from,
            "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
        }


def train(arguments, family, name):
    """Train a preset as the command line asks for.

    Args:
        arguments: Options of the command line, see `genimg_export.train`.
        family: Name of the model's class.
        name: Name of its preset. Without `arguments.preset`, the images of the folder
            `arguments.data` decide size, likelihood and epochs.

    Returns:
        The trained model and the run folder.
    """
    strategy = make_strategy(arguments.strategy)  # Before TensorFlow does anything.
    keras.utils.set_random_seed(SEED)
    if arguments.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{arguments.mixed_precision}")
    run = planned_run(arguments, getattr(models, family), name, strategy)
    print(f"[2/5] Reading {run.options['name']}", flush=True)
    images = read_images(run)
    if not arguments.preset:
        fit_epochs(run)
        print(described(run, len(images)))
    if run.class_names:
        print(f"Classes: {len(run.class_names)}, {', '.join(run.class_names)}")
    elif takes_labels(run.family):
        print(end=subfolders_notice(run.options))
    config = run.config
    check_same_run(run.output / "config.json", config)

    print(f"[3/5] Building {run.preset}", flush=True)
    with strategy.scope() if strategy else contextlib.nullcontext():
        model = make_model(run)
        model.compile(run.recipe.optimizer(len(run.train)))
    if run.chief:
        run.output.mkdir(parents=True, exist_ok=True)
        facts = {"seed": SEED, "optimizer": optimizer_facts(model.optimizer)}
        if run.class_names:
            facts["class_names"] = run.class_names
        write_json(run.output / "config.json", {**config, **facts})

    print(
        "[4/5] Training (checking and compiling first; may take a minute)", flush=True
    )
    found = fit(run, model)
    model.save(run.output / "model.keras")
    print("[5/5] Measuring test images, and drawing pictures of a folder", flush=True)
    report = {
        **config,
        "likelihood": str(run.likelihood),
        "weights_of": found.pop("weights_of"),
        **data_facts(run.options, run.train, run.held_out, run.test),
        **report_of(model, run.test, arguments.test_samples),
        **found,
    }
    if run.class_names and len(run.class_names) > 1:
        effect = label_effect(model, run.test, len(run.class_names))
        report["labels"] = dataclasses.asdict(effect)
    if run.chief:
        write_json(run.output / "report.json", report)
        print(summary(report, run.output / "report.json"))
        if "labels" in report:
            print(effect)
        if isinstance(run.options["name"], pathlib.Path) and arguments.samples:
            held_out = run.test if run.held_out is None else run.held_out
            grid = sample_grid(run, run.output / "pictures")
            print(write_pictures(model, held_out, grid, arguments.test_samples))
        if not arguments.preset:
            losses, dimensions = held_out_losses(run.output), math.prod(run.image_shape)
            print(what_to_try(losses, run.recipe.epochs, run.output, dimensions))
    return model, run.output


def summary(report, path):
    """Return the figures of a report that a user looks for first, as a text."""
    bound = "at most " if "num_samples" in report else ""
    return (
        f"{report['images']:,} test images: {bound}{report['bits_per_dim']:.3f} bits "
        f"per dimension, {bound}{report['nats']:,.2f} ± "
        f"{report['nats_standard_error']:,.2f} nats an image. More in {path}"
    )


def planned_run(arguments, family, name, strategy):
    """Return the run that a command line asks for, before its images are read."""
    preset = family.presets[name]
    if arguments.preset and not preset.recipe.tried:
        print(
            f"No model was trained to the end by the recipe of {name}; it is a guess."
        )
    options = image_options(arguments, preset)
    if arguments.labels:
        options["labels"] = True
    folder = f"{family.__name__}_{name}"
    if not arguments.preset:
        folder = pathlib.Path(options["name"]).resolve().stem
    return Run(
        arguments,
        family,
        name,
        changed_recipe(preset.recipe, arguments),
        options,
        own_likelihood(family, preset),
        arguments.output or pathlib.Path("outputs", folder),
        strategy,
    )


def takes_labels(family):
    """Return whether models of a class can be made for images with labels."""
    if family is models.OrientedModel:  # Its network can.
        return True
    return "num_classes" in inspect.signature(family).parameters


def own_likelihood(family, preset):
    """Return the likelihood of a preset, by default that of the model's class."""
    likelihood = preset.config.get("likelihood")
    if likelihood is None:
        likelihood = inspect.signature(family).parameters["likelihood"].default
    return likelihoods.get(likelihood)


def read_images(run):
    """Read the images of a run; return those of a folder that decide its settings."""
    arguments, images = run.arguments, None
    try:
        if not arguments.preset:
            images, run.likelihood = fit_to_images(arguments, run.options)
            if images.shape[-1] == 3 and not arguments.set:
                run.name = COLOR_PRESET
                recipe = dataclasses.replace(
                    run.family.presets[run.name].recipe, learning_rate=COLOR_RATE
                )
                run.recipe = changed_recipe(recipe, arguments)
                arguments.start_from = arguments.start_from or "weights"
        elif arguments.data:
            batches = datasets.load(batch_size=1000, **{**run.options, "labels": False})
            print(end=rounding_notice(batches, run.likelihood), flush=True)
        run.train, run.held_out, run.test = load_splits(
            run.options, run.recipe.batch_size, arguments.held_out, run.likelihood
        )
    except (ValueError, FileNotFoundError) as error:
        data, hint = run.options["name"], ""
        if isinstance(data, str) and pathlib.Path(data).is_dir():
            hint = f". For the folder of that name, pass --data ./{data}"
        sys.exit(f"{error}{hint}")
    return images


def fit_epochs(run):
    """Choose a number of epochs for a folder that train in about ten minutes."""
    if run.arguments.epochs:
        return
    pixels = len(run.train) * run.recipe.batch_size * math.prod(run.image_shape[:2])
    budget = COLOR_PIXELS if run.name == COLOR_PRESET else FOLDER_PIXELS
    epochs = min(max(round(budget / pixels), 1), FOLDER_EPOCHS)
    run.recipe = dataclasses.replace(run.recipe, epochs=epochs)


def described(run, num_images):
    """Return what the images of a folder decided, for the user."""
    arguments, (height, width, colors) = run.arguments, run.image_shape
    trained = arguments.start_from == "weights"
    return (
        f"Images: {num_images} of {run.options['name']}, {height}x{width}, "
        f"{'gray' if colors == 1 else 'color'}"
        f"{', resized' if 'image_size' in run.options else ''}, all "
        f"{run.likelihood.num_values} levels\n"
        f"Model: {run.preset}, {run.likelihood}"
        f"{', in several orders of pixels' if arguments.orders else ''}"
        f"{', from its trained weights' if trained else ''}\n"
        f"Training: {run.recipe.epochs} epochs"
        f"{'' if arguments.epochs else ABOUT_TEN_MINUTES}"
    )


def fit(run, model: GenerativeModel):
    """Train a model, and give it its best weights; return facts for the report."""
    output, epochs, held_out = run.output, run.recipe.epochs, run.held_out
    start = time.monotonic()
    if run.arguments.start_from and held_out is not None:
        score_start(model, held_out, epochs, output, run.chief)
    model.fit(
        run.train,
        epochs=epochs,
        validation_data=held_out,
        verbose=1 if sys.stdout.isatty() else 2,
        callbacks=make_callbacks(run),
    )
    seconds = time.monotonic() - start
    # This also waits until the first worker has saved.
    replicas_here = len(run.strategy.extended.worker_devices) if run.strategy else 1
    share = num_cores() / replicas_here
    cores = round(sum_over_workers(model.distribute_strategy, share))
    kept = keep_best(model, held_out, output)
    return {"weights_of": kept, "seconds_of_last_start": seconds, "cores": cores}


def changed_recipe(recipe, arguments):
    """Return the recipe of a preset with the options of the command line."""
    names = ("epochs", "batch_size", "learning_rate")
    changes = {name: getattr(arguments, name) for name in names}
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(recipe, **given)


def make_strategy(name):
    """Return a strategy, or None to train on one device."""
    if name == "multi_worker":
        return tf.distribute.MultiWorkerMirroredStrategy()
    return tf.distribute.MirroredStrategy() if name == "mirrored" else None


def make_model(run):
    """Return the model of a run, with its first weights."""
    family, arguments = run.family, run.arguments
    options = size_options(family.presets[run.name], run.image_shape) | arguments.set
    if run.class_names:
        options["num_classes"] = len(run.class_names)
        options["class_names"] = run.class_names
    options["likelihood"] = run.likelihood
    try:
        if arguments.orders and family is not models.OrientedModel:
            settings = {**family.presets[run.name].config, **options}
            model = oriented_model(family, seed=SEED, name=run.name, **settings)
        else:
            model = family.from_preset(run.name, name=run.name, **options)
    except (TypeError, ValueError) as error:
        sys.exit(f"The model cannot be built: {error}")
    if arguments.start_from:
        set_first_weights(model, arguments.start_from, family, run.name)
    return model


def set_first_weights(model: GenerativeModel, start_from, family, name):
    """Let a model begin with the weights of a run, or with those in the package.

    A model that takes labels or has several orders gets those that fit.
    """
    try:
        if start_from == "weights":
            other = family.from_preset(name, weights=True)
        else:
            other = keras.models.load_model(pathlib.Path(start_from, "model.keras"))
    except ValueError as error:
        sys.exit(f"--start-from {start_from} cannot be loaded: {error}")
    try:
        if len(model.inputs) > 1 or isinstance(model, models.OrientedModel):
            print(set_fitting_weights(model, other))
        else:
            model.set_weights(other.get_weights())
    except ValueError as error:
        sys.exit(f"--start-from {start_from} has other weights than {name}: {error}")


def set_fitting_weights(model: GenerativeModel, other):
    """Give a model the weights of another that fit; return which do not, as a text.

    Those that the other one lacks are 0, except embeddings of classes and orders. A
    model that takes labels then begins as the one without them, whatever the label, and
    one of several orders as the other one on turned images, whatever the order.
    """
    given = {weight.path: weight for weight in other.weights}
    new = []
    for weight in model.weights:
        found = given.get(weight.path)
        if found is not None and found.shape == weight.shape:
            weight.assign(found.numpy())
            continue
        new.append(weight.path)
        if found is None and not weight.path.endswith("_embedding/embeddings"):
            weight.assign(weight.numpy() * 0)
    count = len(model.weights) - len(new)
    listed = f": {', '.join(new)}" if new else ""
    return f"Weights: {count} are loaded, {len(new)} are new{listed}"


def make_callbacks(run):
    """Return the callbacks of a run. The chief alone writes log and weights."""
    arguments, output = run.arguments, run.output
    callbacks: list[Any] = []
    if run.chief and run.held_out is not None:
        best = keras.callbacks.ModelCheckpoint(
            str(output / BEST),
            monitor="val_loss",
            mode="min",
            save_best_only=True,
            save_weights_only=True,
            initial_value_threshold=best_epoch(output)[1],
        )
        callbacks.append(best)
    if run.chief:
        callbacks.append(keras.callbacks.CSVLogger(str(output / LOG), append=True))
    if arguments.samples:
        every = max(run.recipe.epochs // 10, 1)
        callbacks.append(sample_grid(run, output / "samples", every))
    callbacks.append(Resume(output / "states", arguments.save_every))
    if sys.stdout.isatty():
        callbacks.append(FirstBar())
    return callbacks


def sample_grid(run, output, every=1):
    """Return the callback that writes samples of a run, a class per row, if it has any.

    Args:
        run: The `Run`.
        output: Folder of the pictures.
        every: Number of epochs between two pictures.
    """
    count = run.arguments.samples
    if not run.class_names:
        return SampleGrid(output, count, every)
    labels, columns = labels_of_samples(count, len(run.class_names))
    return SampleGrid(output, len(labels), every, conditions=labels, columns=columns)


class FirstBar(keras.callbacks.Callback):
    """Show the progress bar while the first step compiles."""

    def on_epoch_begin(self, epoch, logs=None):
        self.bar = getattr(self, "bar", keras.utils.Progbar(self.params["steps"]))

    def on_train_batch_begin(self, batch, logs=None):
        if self.bar is not None:
            self.bar.update(batch)
        self.bar = None


def labels_of_samples(count, num_classes):
    """Return labels of the images in a picture, a class per row, and its columns."""
    columns = max(count // num_classes, 1)
    return np.repeat(np.arange(num_classes), columns)[:count], columns


def check_same_run(path, config):
    """Exit if a run folder holds another run, before anything in it is changed."""
    if not path.exists():
        return
    saved, given = (as_options(each) for each in (json.loads(path.read_text()), config))
    changed = [key for key in saved | given if saved.get(key) != given.get(key)]
    if changed:
        before, now = (
            ", ".join(shown_option(key, options.get(key)) for key in changed)
            for options in (saved, given)
        )
        sys.exit(
            f"{path.parent} holds a run {before}. Use another --output, or the options "
            f"of that run to continue it. Received: a run {now}"
        )


def as_options(config):
    """Return the settings of a run by option of the command line."""
    settings = {**config, **config["data"], "data": config["data"]["name"]}
    names = ("preset", "data", "held_out", "epochs", "batch_size", "learning_rate")
    names += ("mixed_precision", "set", "orders", "start_from")
    names += tuple(config["data"].keys() - {"name"})
    return {
        f"--{name.replace('_', '-')}": settings[name]
        for name in names
        if settings.get(name) not in (None, False, {})
    }


def shown_option(name, value):
    """Return how an option was given, or that it was not, as a text."""
    if value is None:
        return f"without {name}"
    if name == "--set":
        value = " ".join(f"{key}={json.dumps(each)}" for key, each in value.items())
    return f"with {name}" if value in (True, "True") else f"with {name} {value}"


def optimizer_facts(optimizer):
    """Return the class and the settings of an optimizer as JSON values."""
    config = optimizer.get_config()
    rate = config["learning_rate"]
    if isinstance(rate, dict):
        config["learning_rate"] = {"schedule": rate["class_name"], **rate["config"]}
    given = {key: value for key, value in config.items() if value is not None}
    return {**given, "name": type(optimizer).__name__}


def write_json(path, content):
    """Write a JSON file."""
    path.write_text(json.dumps(content, indent=1) + "\n")
