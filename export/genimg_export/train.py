"""Train a model on a folder of images, or a preset. Run it again to continue.

    genimg-train --data ./photos
    genimg-train --data ./photos --labels
    genimg-train --data ./photos --orders
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
the test images. For a folder of images, `pictures/` shows the trained model: samples,
completions, and the easiest and the hardest held-out images. It needs the extra
`examples`.

Data is `digits`, which is embedded; a name of tensorflow_datasets, such as `mnist`,
`fashion_mnist`, `binarized_mnist`, `cifar10` or `svhn_cropped`, read from the folder
that TFDS_DATA_DIR names, or downloaded; `frey_face`, whose file you put into that
folder; or a folder of images, such as `./photos`. The model takes the size of the
images. If some of a folder are gray and others in color, `--color-mode rgb` or
`--color-mode grayscale` converts them. With `--labels`, it learns to draw images of a
class. The classes of a folder are its subfolders, in the order of their names, which
the model keeps: then `genimg-client` draws images of `--label cat`. With `--orders`,
the model is an `OrientedModel`: it learns to draw row by row and column by column, from
each corner, and completes any half of an image. Images that are not square are only
drawn row by row. The loss of held-out and test images is that of the mixture of all
orders.

With `--strategy multi_worker`, start the same command on each machine, with TF_CONFIG
set and an output folder that all of them share; see docs/tutorials/training.md.
"""

import argparse
import difflib
import json
import os
import pathlib
import textwrap

from .arguments import command_parser, integer, positive, stopped_by_ctrl_c
from .export_model import what_next
from .preset_names import (
    argument_names,
    did_you_mean,
    find_preset,
    preset_names,
    setting_names,
)
from .quiet_start import import_tensorflow

FOLDER_PRESET = "PixelCNN/photo_patches"  # A folder of images trains this preset.


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
    orders = "train a model of several orders of pixels, which completes any half of "
    orders += "an image"
    # None, as in the settings of runs that were started before there was this option.
    add("--orders", action="store_true", default=None, help=orders)
    add("--image-size", type=integer(1), metavar="N", help="resize images to N by N")
    crop = "then crop them to N by N: anywhere in training, at the center in tests"
    add("--crop-size", type=integer(1), metavar="N", help=crop)
    colors = "convert the images of a folder, transparent ones on white"
    add("--color-mode", choices=("rgb", "grayscale"), help=colors)
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
        family, preset = find_preset(arguments.preset or FOLDER_PRESET)
    except ValueError as error:
        parser.error(str(error))
    data = arguments.data
    if isinstance(data, pathlib.Path) and not data.exists():
        kind = "file" if data.suffix == ".mat" else "folder"
        text = f"There is no {kind} {str(data)!r}.{near_folders(data)}"
        parser.exit(2, f"{parser.prog}: error: {text}\n")  # The usage is right.
    if isinstance(data, pathlib.Path) and data.is_file() and data.suffix != ".mat":
        parser.error(f"{str(data)!r} is a file. Give the folder of the images.")
    if isinstance(data, str) and not arguments.preset:
        parser.error(
            f"{data!r} is taken as a data set name, and needs --preset. For a folder, "
            f"write ./{data}."
        )
    known = setting_names(family, preset)
    for name, value in arguments.set.items():
        if name not in known:
            parser.error(
                f"{family} has no argument {name}.{did_you_mean(name, known)} Its "
                f"arguments are {', '.join(known)}."
            )
        of_data = ("num_classes", "class_names", "condition_shape")
        if name in of_data and value is not None:
            parser.error(
                f"--set cannot change {name}. --labels takes the classes from the "
                f"images; other conditions need code of your own. Received: "
                f"{name}={value!r}"
            )
    for option in ("labels", "orders"):
        if getattr(arguments, option) and "num_classes" not in known:
            others = [x for x in preset_names() if "num_classes" in argument_names(x)]
            parser.error(
                f"{family} takes no {option}. Leave out --{option}, or choose a preset "
                f"of {', '.join(others)}."
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


def near_folders(path):
    """Return a question with the folders beside a path that have almost its name."""
    beside = path.parent.iterdir() if path.parent.is_dir() else ()
    near = difflib.get_close_matches(path.name, [x.name for x in beside if x.is_dir()])
    # With "./", so that it is not taken for the name of a data set.
    folders = [repr(os.path.join(path.parent, name)) for name in near]
    return f" Did you mean {' or '.join(folders)}?" if folders else ""


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


def print_presets():
    """Print all presets, each with its description."""
    import_tensorflow()
    from keras_genimg.presets import FAMILIES, presets_with_weights

    for family, presets in FAMILIES.items():
        trained = presets_with_weights(family)
        for name, preset in presets.items():
            print(f"{family}/{name}{' (weights)' if name in trained else ''}")
            print(textwrap.indent(textwrap.fill(preset.description, 84), "    "))


def main():
    """Train, or print the presets."""
    arguments = parse_arguments()
    with stopped_by_ctrl_c("Stopped. Run the same command to continue."):
        if arguments.list:
            print_presets()
        else:
            run_command(arguments)


def run_command(arguments):
    """Train a model, and publish it if the command line asks for that."""
    print("[1/5] Starting TensorFlow", flush=True)
    import_tensorflow()
    from keras_genimg.commands.train import train
    from keras_genimg.ops.workers import is_chief
    from keras_genimg.serving import publish

    family, name = find_preset(arguments.preset or FOLDER_PRESET)
    model, output = train(arguments, family, name)
    next_steps = (
        f"To serve it:\n  genimg-export {output / 'model.keras'} --name {output.name} "
        f"--base-dir served\n  genimg-serve --base-dir served"
    )
    if arguments.export:
        path = publish(model, arguments.export, output.name, batch_sizes=(1, 8, 32))
        next_steps = what_next(path)
    if is_chief(model.distribute_strategy):
        print(next_steps)


if __name__ == "__main__":
    main()
