"""Changes the library in small ways, and shows which changes no test sees.

    python -m tests.mutation --make-map
    python -m tests.mutation sampling layers --mutants 40 --seed 0

The first command runs the fast tests under coverage, for some ten minutes, and notes
which test runs which line. The second one makes a copy of the checkout, and there, with
cosmic-ray, one small change at a time: another operator, number or comparison. Each
mutant runs the tests that cover its line, those of its own room and fast ones first,
for five minutes at most. A mutant is killed if one of them fails. Prints Markdown.

A room is a folder of `keras_genimg`, or a path such as `export/genimg_export/files.py`.
This needs `pip install cosmic-ray`. Changes that are not committed are not tested.
"""

import argparse
import pathlib
import shlex
import subprocess
import sys
import tempfile

from tests.subprocesses import ROOT

MAP = ROOT / "outputs" / "coverage"
TIMEOUT = 900


def config_of(room, folder, seconds):
    """Return the text of cosmic-ray's configuration for a room."""
    command = [sys.executable, "-m", "tests.mutation.covering", str(folder)]
    command.append(f"--seconds={seconds}")
    return f"""[cosmic-ray]
module-path = "{path_of(room)}"
timeout = {TIMEOUT}
excluded-modules = []
test-command = "{shlex.join(command)}"
[cosmic-ray.distributor]
name = "local"
"""


def path_of(room):
    """Return the path of a room in the checkout, with slashes."""
    return room if "/" in room else f"keras_genimg/{room}"


def run_room(room, checkout, folder, args):
    """Run a sample of the mutants of a room, and return what became of them.

    Args:
        room: Folder of the library, or a path.
        checkout: A `pathlib.Path` of a clone that may be changed.
        folder: A `pathlib.Path` of the map.
        args: The command's arguments.
    """
    from cosmic_ray.work_db import use_db

    from tests.mutation.report import outcomes
    from tests.mutation.sampled import keep_sample

    name = room.replace("/", "_")
    config = checkout.parent / f"{name}.toml"
    session = checkout.parent / f"{name}.sqlite"
    config.write_text(config_of(room, folder, args.seconds))
    cosmic_ray = [sys.executable, "-m", "cosmic_ray.cli"]
    subprocess.run([*cosmic_ray, "init", config, session], cwd=checkout, check=True)
    with use_db(session) as database:
        places = keep_sample(database, checkout, args.mutants, args.seed)
    print(f"{room}: {places} places", file=sys.stderr, flush=True)
    subprocess.run([*cosmic_ray, "exec", config, session], cwd=checkout, check=True)
    with use_db(session) as database:
        return outcomes(database)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rooms", nargs="*", help="such as sampling")
    parser.add_argument("--make-map", action="store_true")
    parser.add_argument(
        "--map", type=pathlib.Path, default=ROOT / "outputs" / "coverage"
    )
    parser.add_argument("--mutants", type=int, default=40, help="places of each room")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=300, help="of tests a mutant")
    parser.add_argument(
        "--tests",
        nargs="*",
        default=["-n", "2"],
        help="arguments of pytest for the map",
    )
    args = parser.parse_args()

    # The command's options can be read where the tools are not installed.
    from tests.mutation.coverage_map import CoverageMap, commit_of, make_map
    from tests.mutation.report import table

    folder = args.map.resolve()
    with tempfile.TemporaryDirectory() as temporary:
        checkout = pathlib.Path(temporary) / "checkout"
        subprocess.run(["git", "clone", "-q", ROOT, checkout], check=True)
        if args.make_map:
            make_map(checkout, folder, args.tests)
        tested, here = CoverageMap(folder).commit, commit_of(checkout)
        if tested != here:
            parser.error(f"The map is of {tested}, not of {here}: use --make-map.")
        results = {}
        for room in args.rooms:
            results[room] = run_room(room, checkout, folder, args)
            print(survivors(room, results[room]), flush=True)
        print(table(results))


def survivors(room, found):
    """Return the mutants of a room that no test saw, as Markdown."""
    lines = [f"## Survivors of {room}"]
    for outcome, diff, output in found:
        if outcome in ("survived", "failed"):
            lines += [f"\n{outcome}: {(output or '').splitlines()[:1]}", "```diff"]
            lines += [*diff.splitlines()[1:], "```"] if diff else ["```"]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
