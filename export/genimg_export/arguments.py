"""Parsers of command lines, types of arguments, and the end by Ctrl-C."""

import argparse
import contextlib
import os
import sys


def command_parser(text, name=None):
    """Return a parser whose help begins with the docstring of a command, as it is.

    Args:
        text: The docstring.
        name: Name of the installed command, if it is one.
    """
    return argparse.ArgumentParser(
        name, description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


@contextlib.contextmanager
def stopped_by_ctrl_c(line):
    """End the process with exit code 130 and one line if Ctrl-C stops the body."""
    try:
        yield
    except KeyboardInterrupt:
        sys.stdout.flush()
        print(f"\n{line}", file=sys.stderr, flush=True)
        os._exit(130)  # Do not wait for threads that still compute.


def integer(low, high=2**31 - 1):
    """Return a function that parses an integer from `low` to `high`."""

    def convert(text):
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f"{text} is not an integer from {low} to {high}"
            )
        return int(text)

    return convert


def positive(kind):
    """Return a function that parses a finite number above 0, an `int` or a `float`."""

    def convert(text):
        number = kind(text)
        if not 0 < number < float("inf"):
            raise ValueError
        return number

    convert.__name__ = f"{kind.__name__} above 0"
    return convert
