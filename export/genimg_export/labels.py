"""Classes that a command line names, as the labels that a model takes."""

from .preset_names import did_you_mean


def label_of(given, names, model):
    """Return the label of a class.

    A class may be called by a number, as a folder of digits may be, so names count
    before numbers.

    Args:
        given: Name of a class, or its number from 0, str.
        names: Names of the model's classes in the order of their labels; empty if they
            are unknown.
        model: Name of the model, for error texts.

    Raises:
        ValueError: If the model has no such class.
    """
    if given in names:
        return names.index(given)
    is_number = given.isdecimal()
    if names and not (is_number and int(given) < len(names)):
        raise ValueError(
            f"{model} has no class {given!r}.{did_you_mean(given, names)} "
            f"Its classes are {', '.join(names)}"
        )
    if not is_number:
        raise ValueError(
            f"no names of the classes of {model} are known, so a label must be a "
            f"number from 0; given: {given!r}"
        )
    return int(given)
