"""Try random graphs, and print how many were right, refused and wrong.

    python -m tests.fuzz --graphs 2000 --first-seed 1000

The seed of each wrong graph is printed. To try it again: --first-seed SEED --graphs 1.
"""

import os
import sys

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import tensorflow as tf  # noqa: E402

from genimg_export.arguments import command_parser  # noqa: E402
from tests.fuzz.trial import try_graphs  # noqa: E402
from tests.untuned import leave_datasets_untuned  # noqa: E402


def main():
    """Run the whole command."""
    parser = command_parser(__doc__)
    parser.add_argument("--graphs", type=int, default=40, help="how many (40)")
    parser.add_argument("--first-seed", type=int, default=0, help="by default 0")
    parser.add_argument("--trace", action="store_true", help="raise the first error")
    arguments = parser.parse_args()
    leave_datasets_untuned()
    tf.get_logger().setLevel("CRITICAL")  # What matters is raised.
    seeds = range(arguments.first_seed, arguments.first_seed + arguments.graphs)
    outcomes = try_graphs(seeds, arguments.trace)
    sys.exit(bool(outcomes["wrong"] or outcomes["not built"]))


if __name__ == "__main__":
    main()
