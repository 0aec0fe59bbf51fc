"""Try random graphs, and print how many were right, refused and wrong.

    python -m tests.fuzz --graphs 2000 --first-seed 1000

The seed of each wrong graph is printed. To try it again: --first-seed SEED --graphs 1.
"""

import collections
import os
import sys
import time

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402
from genimg_export.arguments import command_parser  # noqa: E402

from tests.fuzz.trial import Fault, try_graph  # noqa: E402
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
    outcomes, refusals = collections.Counter(), collections.Counter()
    first = arguments.first_seed
    for seed in range(first, first + arguments.graphs):
        start = time.perf_counter()
        try:
            outcome, refused = try_graph(seed)
            refusals.update(refused)
            said = outcome
        except Exception as error:
            if arguments.trace:
                raise
            outcome = "wrong" if isinstance(error, Fault) else "not built"
            said = f"{outcome.upper()}: {type(error).__name__}: {error}"
        outcomes[outcome] += 1
        print(f"{seed} {time.perf_counter() - start:.1f} s {said}", flush=True)
        keras.backend.clear_session()
    for kind, count in refusals.most_common():
        print(f"{count:6} {kind}")
    print(dict(outcomes))
    sys.exit(bool(outcomes["wrong"] or outcomes["not built"]))


if __name__ == "__main__":
    main()
