r"""Draw many images with an exported model, in shards.

    genimg-bulk-sample --model models/digits/1 --num-images 100000 \
        --num-shards 20 --output drawn/digits --format tfrecord --workers 2

The images of seeds S to S + N - 1 are written to K files PREFIX-00000-of-0000K, and are
the same on any engine. The same command again writes the shards that are missing.
PREFIX-run.json tells runs apart: another run under the same prefix is refused.

Formats: `tfrecord` has tf.train.Example records with a PNG file `image`, `seed` and
`label`; `tfds` has the same, and is read by `tfds.builder_from_directory` from the
prefix's folder; `npz` has arrays; `png` has a folder of PNG files per shard.

Engines: `local` starts processes on this machine, `ray` uses Ray Data, `beam` Apache
Beam, whose flags may follow, as in `-- --runner=FlinkRunner`. Workers need TensorFlow
and NumPy.
"""

import os
import pathlib
import sys

import numpy as np

from ..arguments import command_parser, integer
from .command import call, parse
from .image_shards import FORMATS
from .sampling import SampleJob
from .saved_model import SavedModel
from .shards import BulkError


def parse_arguments(arguments=None):
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-bulk-sample")
    add = parser.add_argument
    add(
        "--first-seed",
        type=integer(0, 2**62 - 1),
        default=0,
        metavar="S",
        help="seed of the first image (0)",
    )
    add(
        "--num-images",
        type=integer(1, 2**62),
        required=True,
        metavar="N",
        help="number of images",
    )
    add(
        "--num-shards",
        type=integer(1, 99_999),
        default=1,
        metavar="K",
        help="number of files (1)",
    )
    add("--format", choices=FORMATS, default="tfrecord", help="default: tfrecord")
    labels = parser.add_mutually_exclusive_group()
    labels.add_argument(
        "--label", metavar="CLASS", help="class of all images, its name or number"
    )
    labels.add_argument("--labels", metavar="FILE", help="a class per line and image")
    return parse(parser, arguments)


def read_labels(file, model):
    """Return the labels of the classes in a file, one a line.

    Raises:
        BulkError: If the model has no such class.
    """
    lines = pathlib.Path(file).read_text("utf-8").splitlines()
    classes = [line.strip() for line in lines]
    labels = {}
    for number, given in enumerate(classes, 1):
        if given not in labels:
            try:
                labels[given] = model.label_of(given)
            except BulkError as error:
                raise BulkError(f"{file}, line {number}: {error}") from None
    return np.array([labels[given] for given in classes], "int64")


def job_of(arguments):
    """Return the job that a command line asks for."""
    model = SavedModel(arguments.model, "sample")
    labels = None
    if arguments.labels is not None:
        labels = read_labels(arguments.labels, model)
    elif arguments.label is not None:
        labels = model.label_of(arguments.label)
    return SampleJob(
        model,
        os.path.abspath(arguments.output),
        arguments.format,
        arguments.first_seed,
        arguments.num_images,
        arguments.num_shards,
        arguments.batch_size,
        labels,
    )


def main():
    """Draw images; return the exit code."""
    return call("sample", job_of, parse_arguments())


if __name__ == "__main__":
    sys.exit(main())
