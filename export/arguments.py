"""Parsers of command lines, and types of arguments."""

import argparse


def command_parser(text):
    """Return a parser whose help begins with the docstring of a command, as it is."""
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )


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
