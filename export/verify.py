"""Check that TensorFlow Serving can serve a SavedModel.

Prints one line per check. The exit code is 0 if all pass, else 1.

    python export/verify.py models/digits/1

Without a checkout, `python -m genimg_export.verify` does the same.
"""

import argparse
import os
import sys


def main():
    """Verify a directory; return the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", help="directory of saved_model.pb")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="limit for all runs through TensorFlow's C API (default: 600)",
    )
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras_genimg.serving.verifying import verify

    report = verify(arguments.directory, timeout=arguments.timeout)
    print(str(report).splitlines()[-1])
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
