"""A random choice of mutants.

A binary operator has eleven mutants and a constant two. So each place in the code is as
likely as any other, and has one of its mutants. Two kinds of places are left out, whose
mutants show nothing about tests: annotations such as `int | None`, which then fail at
import, and the `strict` of `zip`, which asserts that lengths are equal.
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
    left_out = {}
    for item in database.work_items:
        (mutation,) = item.mutations
        path = mutation.module_path
        if path not in left_out:
            left_out[path] = silent_places((checkout / path).read_text())
        line, column = mutation.start_pos
        if not any(first <= (line, column) < last for first, last in left_out[path]):
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


def silent_places(source):
    """Return the first and last `(line, column)` of what has no mutants in a text."""
    nodes = []
    for node in ast.walk(ast.parse(source)):
        nodes += [getattr(node, name, None) for name in ("annotation", "returns")]
        if isinstance(node, ast.keyword) and node.arg == "strict":
            nodes.append(node.value)
    return [
        ((node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset))
        for node in nodes
        if node is not None
    ]
