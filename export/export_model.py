r"""Publish a trained model for TensorFlow Serving.

Writes BASE_DIR/NAME/VERSION/, a SavedModel that needs no Keras, with warm-up records
and metadata. It is verified first, appears whole or not at all, and overwrites nothing.

    python export/export_model.py digits.keras --name digits --base-dir served
    python export/export_model.py digits.keras --name digits --base-dir served \
        --batch-sizes 1,8,32 --bad-rows flag --keep 3
"""

import argparse
import json
import os
import shlex
import sys


def batch_sizes(text):
    """Return the integers of a list such as `1,8,32`."""
    return tuple(int(part) for part in text.split(",") if part.strip())


def metadata(file):
    """Return the object that a JSON file holds."""
    try:
        with open(file, encoding="utf-8") as opened:
            found = json.load(opened)
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise argparse.ArgumentTypeError(
            f'{file} must hold a JSON object, such as {{"licence": "CC0"}}'
        )
    return found


def what_next(path):
    """Return what to do with a version, as a text with commands."""
    from keras_genimg.serving import read_metadata

    name = path.parent.name
    folder, base_dir = (shlex.quote(str(p)) for p in path.parents[:2])
    lines = [
        "",
        "TensorFlow Serving serves it, and the versions to come, with",
        f"  tensorflow_model_server --model_name={name} --model_base_path={folder} \\",
        "      --rest_api_port=8501",
        "and a stand-in for laptops, with a page to draw images on, with",
        f"  python export/serve.py --base-dir {base_dir}",
    ]
    inputs = read_metadata(path).get("signatures", {}).get("sample", {}).get("inputs")
    if inputs and all(given["shape"] == [None] for given in inputs.values()):
        values = {key: [1, 2] if key == "seed" else [0, 0] for key in inputs}
        lines += [
            "Two images are drawn by",
            f"  curl http://localhost:8501/v1/models/{name}:predict \\",
            f"      -d '{json.dumps({'inputs': values})}'",
        ]
    return "\n".join(lines)


def parse_arguments():
    """Return what the command line says."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "model", metavar="MODEL", help="a .keras file, or the directory of a SavedModel"
    )
    add("--name", required=True, help="how clients call the model")
    add("--base-dir", required=True, metavar="DIR", help="directory of all models")
    add(
        "--version",
        type=int,
        help="above all that were ever used (default: the next number)",
    )
    add(
        "--batch-sizes",
        type=batch_sizes,
        default=(1,),
        metavar="1,8,32",
        help="numbers of rows that the server warms up for; '' for none (default: 1)",
    )
    add("--keep", type=int, metavar="N", help="remove all but the N highest versions")
    add(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="for the verification's runs through TensorFlow's C API (default: 600)",
    )
    options = parser.add_argument_group("how a .keras file is exported")
    add = options.add_argument
    add(
        "--image-size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="of the images, for a model of any size",
    )
    add(
        "--max-rows",
        type=int,
        metavar="N",
        help="most rows of a call, each candidate counted (default: 256)",
    )
    add(
        "--num-candidates",
        type=int,
        metavar="K",
        help="completions that `complete` draws for a row and chooses one of, by the "
        "known pixels after the first unknown one (default: 1)",
    )
    add(
        "--bad-rows",
        choices=["error", "flag"],
        help="a row out of range fails its call, or is flagged (default: error)",
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
        help="training figures, a licence note and the like, for clients to read",
    )
    return parser.parse_args()


def main():
    """Publish what the command line names; return the exit code."""
    arguments = vars(parse_arguments())
    given = {key: value for key, value in arguments.items() if value is not None}

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras_genimg.serving import VerificationError, publish

    try:
        path = publish(**given)
    except VerificationError as error:
        print(f"Not published. {error}", file=sys.stderr)
        return 1
    except (ValueError, OSError, ImportError) as error:
        print(f"Not published: {error}", file=sys.stderr)
        return 1
    print(what_next(path))
    return 0


if __name__ == "__main__":
    sys.exit(main())
