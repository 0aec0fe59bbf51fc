"""What became of the mutants, as Markdown."""

import collections
import json
import pathlib

from cosmic_ray.work_item import TestOutcome, WorkerOutcome

# Mutants that compute the same, each with the reason.
EQUIVALENT = json.loads((pathlib.Path(__file__).parent / "equivalent.json").read_text())


def outcomes(database):
    """Return `(outcome, diff, output)` of each mutant that ran.

    Outcomes are "killed", "timed out", "survived", "equivalent" and "failed", which is
    a mutant that could not be made or tested.

    Args:
        database: A `cosmic_ray.work_db.WorkDB`.
    """
    found = []
    for _, result in database.completed_work_items:
        if result.worker_outcome != WorkerOutcome.SKIPPED:
            found.append((_outcome(result), result.diff, result.output))
    return found


def _outcome(result):
    if result.test_outcome == TestOutcome.KILLED:
        return "timed out" if result.output == "timeout" else "killed"
    if result.test_outcome != TestOutcome.SURVIVED:
        return "failed"
    return "equivalent" if reason_of(result.diff) else "survived"


def reason_of(diff):
    """Return why a mutant computes the same, or None if it is not known to."""
    removed, added = changed(diff)
    for known in EQUIVALENT:
        if known["file"] in diff and (removed, added) == (
            known["before"],
            known["after"],
        ):
            return known["reason"]
    return None


def changed(diff):
    """Return the lines that a diff removes and adds, stripped and joined."""
    removed, added = (
        " ".join(
            line[1:].strip()
            for line in diff.splitlines()
            if line.startswith(sign) and not line.startswith(sign * 3)
        )
        for sign in "-+"
    )
    return removed, added


def table(results):
    """Return a Markdown table of outcomes by room.

    A mutant that timed out counts as killed: its tests would never have passed.

    Args:
        results: Dict of what `outcomes` returns, by room.
    """
    lines = [
        "| room | mutants | killed | timed out | survived | equivalent | failed "
        "| killed of those that differ |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for room, found in results.items():
        count = collections.Counter(outcome for outcome, _, _ in found)
        seen = count["killed"] + count["timed out"]
        differ = seen + count["survived"]
        share = f"{100 * seen / differ:.0f} %" if differ else ""
        cells = [room, len(found), *(count[name] for name in _COLUMNS), share]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return "\n".join(lines)


_COLUMNS = ("killed", "timed out", "survived", "equivalent", "failed")
