"""Say whether TensorFlow Serving can serve a SavedModel.

Prints one line for each check and ends with exit code 0 if all passed, else 1.

    python export/verify.py models/digits/1
"""

import argparse
import os
import sys


def main():
    """Verify the directory that the command line names."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("directory", metavar="DIR", help="where saved_model.pb is")
    parser.add_argument(
        "--timeout",
        type=float,
        default=600,
        metavar="SECONDS",
        help="for all runs through TensorFlow's C API together (default: 600)",
    )
    arguments = parser.parse_args()

    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from keras_genimg.serving.verifying import verify

    report = verify(arguments.directory, timeout=arguments.timeout)
    print(str(report).splitlines()[-1])
    return 0 if report.passed else 1


if __name__ == "__main__":
    sys.exit(main())
