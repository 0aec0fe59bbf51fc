"""Check that TensorFlow Serving can serve a SavedModel, and that it is as exported.

Prints one line per check. The exit code is 0 if all pass, else 1. The line `content`
has the SHA-256 of graph, weights and metadata, which `genimg-export` printed too.

    genimg-verify models/digits/1
"""

import os
import sys

from .arguments import command_parser, stopped_by_ctrl_c
from .quiet_start import import_tensorflow


def main():
    """Verify a directory; return the exit code."""
    parser = command_parser(__doc__, "genimg-verify")
    parser.add_argument("directory", metavar="DIR", help="directory of saved_model.pb")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="limit for all runs of the model (default: 600)",
    )
    arguments = parser.parse_args()
    if not os.path.isdir(arguments.directory):
        parser.error(f"There is no folder {arguments.directory!r}.")
    with stopped_by_ctrl_c("Stopped. Run the same command to start again."):
        import_tensorflow()
        from .verifying import verify

        report = verify(arguments.directory, timeout=arguments.timeout)
    print(str(report).splitlines()[-1])
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
