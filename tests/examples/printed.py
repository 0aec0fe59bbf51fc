"""Numbers that an example prints."""


def nats(output, before, after=" nats"):
    """Return the number between two strings in the output."""
    return float(output.split(before)[1].split(after)[0])
