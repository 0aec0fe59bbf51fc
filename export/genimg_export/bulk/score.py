r"""Compute the log-likelihood of many images with an exported model, in shards.

    genimg-bulk-score --model models/digits/1 --data drawn/digits \
        --output scores/digits --format parquet --workers 2
    genimg-bulk-score --model models/mnist/1 --data mnist:test \
        --num-shards 10 --output scores/mnist --format csv

Images are those of TFRecord files as `genimg-bulk-sample` writes them, of a folder of
PNG files, or of a data set of tensorflow-datasets, as NAME:SPLIT or FOLDER:SPLIT. Each
shard gives a table of id, nats and bits per dimension. PREFIX-summary.json has the
means of all images and their standard errors.

Engines are those of `genimg-bulk-sample`. Run the same command to continue.
"""

import os
import sys

from ..arguments import command_parser, integer
from .command import call, parse
from .saved_model import SavedModel
from .scoring import FORMATS, ScoreJob
from .sources import find_source


def parse_arguments(arguments=None):
    """Parse the command line."""
    parser = command_parser(__doc__, "genimg-bulk-score")
    add = parser.add_argument
    add(
        "--data",
        required=True,
        metavar="DATA",
        help="prefix of TFRecord files, folder of PNG files, or NAME:SPLIT",
    )
    add(
        "--num-shards",
        type=integer(1, 99_999),
        metavar="K",
        help="default: 1, or the number of TFRecord files",
    )
    add("--format", choices=FORMATS, default="parquet", help="default: parquet")
    add(
        "--label",
        metavar="CLASS",
        help="class of all images, its name or number (default: those of the data)",
    )
    return parse(parser, arguments)


def job_of(arguments):
    """Return the job that a command line asks for."""
    model = SavedModel(arguments.model, "log_prob")
    label = arguments.label
    return ScoreJob(
        model,
        find_source(arguments.data, arguments.num_shards),
        os.path.abspath(arguments.output),
        arguments.format,
        arguments.batch_size,
        None if label is None else model.label_of(label),
    )


def main():
    """Score images; return the exit code."""
    return call("score", job_of, parse_arguments())


if __name__ == "__main__":
    sys.exit(main())
