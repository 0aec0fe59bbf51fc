r"""Publish a trained model for TensorFlow Serving.

Writes BASE_DIR/NAME/VERSION/, a SavedModel that needs no Keras, with warm-up records
and metadata. The version is verified first, then renamed into place, so a server never
loads half of it. Nothing is overwritten.

    genimg-export digits.keras --name digits --base-dir served
    genimg-export digits.keras --name digits --base-dir served --batch-sizes 1,8,32 \
        --keep 3
    genimg-export --preset PixelRNN/mnist_diagonal_1x32 --name mnist --base-dir served
"""

import argparse
import json
import pathlib
import shlex
import sys

from .arguments import command_parser, stopped_by_ctrl_c
from .checks import check_model_path
from .metadata import read_metadata
from .preset_names import find_preset
from .quiet_start import import_tensorflow


def batch_sizes(text):
    """Parse a list of integers such as `1,8,32`."""
    return tuple(int(part) for part in text.split(",") if part.strip())


def metadata(file):
    """Return the object in a JSON file."""
    try:
        found = json.loads(pathlib.Path(file).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(
            f'{file} must hold a JSON object, such as {{"license": "CC0"}}'
        )
    return found


def what_next(path):
    """Return the commands that serve a version and generate images with it."""
    name = path.parent.name
    folder, base_dir = (shlex.quote(str(p)) for p in path.parents[:2])
    lines = [
        "",
        "To serve this version and later ones with TensorFlow Serving:",
        f"  tensorflow_model_server --model_name={name} --model_base_path={folder} \\",
        "      --rest_api_port=8501",
        "To serve them on a laptop, with a page in the browser:",
        f"  genimg-serve --base-dir {base_dir}",
    ]
    described = read_metadata(path)
    inputs = described.get("signatures", {}).get("sample", {}).get("inputs")
    if inputs and all(given["shape"] == [None] for given in inputs.values()):
        values = {key: [given.get("low") or 0] * 2 for key, given in inputs.items()}
        values["seed"] = [1, 2]
        lines += [
            "To generate two images:",
            f"  curl http://localhost:8501/v1/models/{name}:predict \\",
            f"      -d '{json.dumps({'inputs': values})}'",
        ]
    if names := described.get("class_names"):
        lines += [
            f"To generate images of a class, such as {names[0]}:",
            f"  genimg-client --model {name} sample --label {shlex.quote(names[0])} \\",
            "      --output drawn",
        ]
    return "\n".join(lines)


def parse_arguments():
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-export")
    add = parser.add_argument
    add(
        "model",
        nargs="?",
        metavar="MODEL",
        help="a .keras file, or the directory of a SavedModel",
    )
    add(
        "--preset",
        metavar="FAMILY/NAME",
        help="instead of MODEL: a preset, with the trained weights in the package",
    )
    add("--name", required=True, help="model name that clients ask for")
    add("--base-dir", required=True, metavar="DIR", help="directory of the models")
    add(
        "--version",
        type=int,
        help="above every number used before (default: the next one)",
    )
    add(
        "--batch-sizes",
        type=batch_sizes,
        default=(1,),
        metavar="1,8,32",
        help="batch sizes to warm up the server with; '' for none (default: 1)",
    )
    add(
        "--keep",
        type=int,
        metavar="N",
        help="remove all but the N highest versions (at least 2) that are older than "
        "ten minutes",
    )
    add(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="limit for the verification's runs of the model (default: 600)",
    )
    options = parser.add_argument_group("export of a .keras file or preset")
    add = options.add_argument
    add(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="height and width of the images, for a model of any size",
    )
    add(
        "--max-examples",
        type=int,
        metavar="N",
        help="most examples per call, counting every candidate (default: 256)",
    )
    add(
        "--num-candidates",
        type=int,
        metavar="K",
        help="completions that `complete` draws per image; it returns one, chosen by "
        "the known pixels after the first unknown one (default: 1)",
    )
    add(
        "--no-batching",
        dest="batching",
        action="store_false",
        default=None,
        help="compute every request alone (default: merge those of several clients)",
    )
    add(
        "--xla-twins",
        action="store_true",
        default=None,
        help="add faster signatures for a server that allows XLA",
    )
    add(
        "--metadata",
        type=metadata,
        metavar="FILE.json",
        help="training metrics, a license note and so on, for clients to read",
    )
    arguments = parser.parse_args()
    if (arguments.model is None) == (arguments.preset is None):
        parser.error("expected either MODEL or --preset")
    if arguments.model is not None and not pathlib.Path(arguments.model).exists():
        parser.error(f"There is no file or folder {arguments.model!r}.")
    try:
        if arguments.preset is not None:
            find_preset(arguments.preset)
        else:
            check_model_path(arguments.model)
    except ValueError as error:
        parser.error(str(error))
    return arguments


def trained_preset(name):
    """Return a preset with its weights, and its card as metadata."""
    from keras_genimg import models
    from keras_genimg.presets import read_card

    family, name = find_preset(name)
    model = getattr(models, family).from_preset(name, weights=True)
    return model, {"card": read_card(family, name)}


def main():
    """Publish the model; return the exit code."""
    arguments = vars(parse_arguments())
    given = {key: value for key, value in arguments.items() if value is not None}
    with stopped_by_ctrl_c("Stopped. Run the same command to start again."):
        return run_command(given)


def run_command(given):
    """Publish a model with the given arguments; return the exit code."""
    import_tensorflow()
    import tensorflow as tf

    from keras_genimg.serving import publish  # The library reads its `.keras` files.

    try:
        if "preset" in given:
            given["model"], card = trained_preset(given.pop("preset"))
            given["metadata"] = {**card, **given.get("metadata", {})}
        path = publish(**given)
    except (ValueError, OSError, ImportError, tf.errors.OpError) as error:
        print(f"Not published: {error}", file=sys.stderr)
        return 1
    print(what_next(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
