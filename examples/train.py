"""Train a preset of any family. Run the same command again to go on after a stop.

    python examples/train.py --preset digits_diagonal
    python examples/train.py --preset mnist_diagonal_1x32 --output outputs/mnist_1x32
    python examples/train.py --preset DRAW/mnist_small --data fashion_mnist

A name that several families have needs its family, as in `DRAW/mnist`. The recipe is
that of the preset. The run folder holds `config.json`, `log.csv`, pictures of samples
in `samples/`, the states to resume from in `states/`, the trained `model.keras`, and
`report.json` with the nats of the test images. It needs the extra `examples`.

Data sets: `digits` is embedded; others are names of tensorflow_datasets, such as
`mnist`, `fashion_mnist`, `cifar10` and `svhn_cropped`, read from the folder that
TFDS_DATA_DIR names, or downloaded.
"""

import argparse
import importlib.metadata
import json
import math
import pathlib
import sys
import time
from typing import Any

DATA = {
    "digits": "digits",
    "mnist": "mnist",
    "cifar10": "cifar10",
    "svhn": "svhn_cropped",
    "imagenet32": "downsampled_imagenet/32x32",
    "imagenet64": "downsampled_imagenet/64x64",
}
# Number of last training images that choices are made on.
HELD_OUT = {"digits": 150, "mnist": 5000}
TEST_SEED = 777
PACKAGES = ("tensorflow", "keras", "tensorflow-probability", "numpy")


def find_preset(name):
    """Return the class and the name of a preset, given as NAME or FAMILY/NAME."""
    from keras_genimg import models

    family, _, name = name.rpartition("/")
    classes = [models.PixelCNN, models.PixelRNN, models.DRAW, models.VAE]
    found = [c for c in classes if name in c.presets and family in ("", c.__name__)]
    if len(found) == 1:
        return found[0], name
    known = [f"{c.__name__}/{preset}" for c in classes for preset in c.presets]
    problem = f"{len(found)} families have" if found else "No family has"
    sys.exit(f"{problem} a preset {name!r}. Known presets: {', '.join(known)}")


def load_data(name, model, batch_size):
    """Return training, held-out and test images, binarized once except for training."""
    from keras_genimg import datasets

    count = HELD_OUT.get(name, 0)
    options: dict[str, Any] = {"likelihood": model.likelihood, "seed": TEST_SEED}
    test = datasets.as_array(datasets.load(name, "test", **options))
    if name == "digits":  # Has no slices.
        train = datasets.as_array(datasets.load(name, likelihood=model.likelihood))
        return train[:-count], train[-count:], test
    part = f"train[:-{count}]" if count else "train"
    train = datasets.load(
        name, part, batch_size, shuffle=True, likelihood=model.likelihood
    )
    if not count:
        return train, None, test
    if model.likelihood.num_values == 2:
        options["binarize"] = "fixed"
    held_out = datasets.load(name, f"train[-{count}:]", **options)
    return train, datasets.as_array(held_out), test


def check_same_run(path, config):
    """Exit if a run folder holds another run, before anything in it is changed."""
    if not path.exists():
        return
    saved = json.loads(path.read_text())
    for key in config.keys() - {"versions"}:
        if saved[key] != config[key]:
            sys.exit(
                f"{path.parent} holds a run with {key}={saved[key]!r}. Use another "
                f"--output. Received: {key}={config[key]!r}"
            )


def report_of(model, test):
    """Return the mean nats of the test images, or their bound, with standard error."""
    # Models with latent variables estimate a bound, from samples of a seed.
    options = {"seed": TEST_SEED} if hasattr(model, "elbo") else {}
    nats = -model.log_prob(test, **options)
    dims = math.prod(test.shape[1:])
    return {
        "images": len(test),
        "nats": float(nats.mean()),
        "standard_error": float(nats.std(ddof=1) / math.sqrt(len(nats))),
        "bits_per_dim": float(nats.mean() / dims / math.log(2)),
        "weights": model.count_params(),
    }


def main():
    """Run the whole example."""
    parser = argparse.ArgumentParser(
        description=str(__doc__).partition("\n")[0],
        epilog=str(__doc__).partition("\n")[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", required=True, metavar="[FAMILY/]NAME")
    parser.add_argument("--data", help="a data set; by default that of the preset")
    parser.add_argument("--epochs", type=int, help="by default those of the recipe")
    parser.add_argument("--save-every", type=int, default=200, metavar="BATCHES")
    parser.add_argument(
        "--output", type=pathlib.Path, help="outputs/FAMILY_NAME by default"
    )
    parser.add_argument(
        "--mixed-precision", choices=("bfloat16", "float16"), help="dtype of the layers"
    )
    arguments = parser.parse_args()
    for option in ("epochs", "save_every"):
        value = getattr(arguments, option)
        if value is not None and value < 1:
            parser.error(
                f"--{option.replace('_', '-')} must be at least 1, not {value}"
            )

    import keras
    import tensorflow as tf

    from keras_genimg.callbacks import Resume, SampleGrid

    keras.utils.set_random_seed(0)
    if arguments.mixed_precision:
        keras.mixed_precision.set_global_policy(f"mixed_{arguments.mixed_precision}")
    family, name = find_preset(arguments.preset)
    recipe = family.presets[name].recipe
    if recipe is None:
        sys.exit(
            f"{family.__name__}/{name} has no recipe yet, so it cannot be trained."
        )
    output = arguments.output or pathlib.Path("outputs", f"{family.__name__}_{name}")
    data = arguments.data or DATA[name.partition("_")[0]]

    model = family.from_preset(name, name=name)
    train, held_out, test = load_data(data, model, recipe.batch_size)
    is_set = isinstance(train, tf.data.Dataset)
    steps = len(train) if is_set else math.ceil(len(train) / recipe.batch_size)
    epochs = arguments.epochs or recipe.epochs
    model.compile(recipe.optimizer(steps, epochs))
    config = {
        "preset": f"{family.__name__}/{name}",
        "data": data,
        "epochs": epochs,
        "mixed_precision": arguments.mixed_precision,
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
    }
    check_same_run(output / "config.json", config)
    output.mkdir(parents=True, exist_ok=True)
    (output / "config.json").write_text(json.dumps(config, indent=1) + "\n")

    start = time.monotonic()
    model.fit(
        train,
        batch_size=None if is_set else recipe.batch_size,
        epochs=epochs,
        validation_data=held_out,
        verbose=2,
        callbacks=[
            keras.callbacks.CSVLogger(str(output / "log.csv"), append=True),
            SampleGrid(output / "samples", every=max(epochs // 10, 1)),
            Resume(output / "states", arguments.save_every),
        ],
    )
    seconds = time.monotonic() - start
    model.save(output / "model.keras")
    report = {**config, **report_of(model, test), "seconds_of_last_start": seconds}
    (output / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
