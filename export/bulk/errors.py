"""The error of bulk work."""


class BulkError(Exception):
    """What cannot be done, in words for the person who gave the command."""
