"""A random choice of mutants.

A binary operator has eleven mutants and a constant two. So each place in the code is as
likely as any other, and has one of its mutants. Operators in annotations, such as
`int | None`, are left out, since their mutants fail at import, which shows nothing
about tests.
"""

import ast
import collections
import random

from cosmic_ray.work_item import WorkerOutcome, WorkResult


def keep_sample(database, checkout, number, seed):
    """Mark all mutants of a session but `number` as skipped.

    Args:
        database: A `cosmic_ray.work_db.WorkDB`.
        checkout: A `pathlib.Path` of the code.
        number: Number of mutants to keep.
        seed: Integer seed of the choice.

    Returns:
        The number of places among which it chose.
    """
    places = collections.defaultdict(list)
    annotated = {}
    for item in database.work_items:
        (mutation,) = item.mutations
        path = mutation.module_path
        if path not in annotated:
            annotated[path] = annotations((checkout / path).read_text())
        line, column = mutation.start_pos
        if not any(first <= (line, column) < last for first, last in annotated[path]):
            places[str(path), line, column].append(item)
    choose = random.Random(seed)
    chosen = choose.sample(sorted(places), min(number, len(places)))
    # Job ids differ from run to run, so mutants are sorted by what they do.
    kept = {choose.choice(sorted(places[place], key=_what)).job_id for place in chosen}
    skipped = [item.job_id for item in database.work_items if item.job_id not in kept]
    database.set_multiple_results(skipped, WorkResult(WorkerOutcome.SKIPPED))
    return len(places)


def _what(item):
    (mutation,) = item.mutations
    return mutation.operator_name, mutation.occurrence


def annotations(source):
    """Return the first and last `(line, column)` of each annotation in a text."""
    found = []
    for node in ast.walk(ast.parse(source)):
        for name in ("annotation", "returns"):
            annotation = getattr(node, name, None)
            if annotation is not None:
                first = annotation.lineno, annotation.col_offset
                last = annotation.end_lineno, annotation.end_col_offset
                found.append((first, last))
    return found
