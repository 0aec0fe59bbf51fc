"""Publishers in separate processes, which may be killed.

A script: imports once, then forks a child for each publisher, since an import of
TensorFlow takes seconds. Each line that it prints begins with the name of a model.

    publishers.py SOURCE BASE
"""

import os
import pathlib
import signal
import sys
import traceback

from keras_genimg.serving import publish, versions

FILE_CALLS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fcntl.flock")


def child(function, *arguments):
    """Start a process that runs a function; return its number."""
    number = os.fork()
    if number:
        return number
    try:
        function(*arguments)
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def ending(number):
    """Wait for a process; return its exit code, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])


def race(source, base, name, children, versions, keep=None):
    """Let several processes publish at the same time."""

    def run():
        for _ in range(versions):
            path = publish(source, base, name, verify=False, verbose=False, keep=keep)
            # One write, so that lines of several processes do not mix.
            os.write(1, f"{name} {path.name}\n".encode())

    numbers = [child(run) for _ in range(children)]
    if any([ending(number) for number in numbers]):
        sys.exit("a publisher failed")


def kill_at_calls(source, base, name):
    """Kill publishers before each call that touches a file below `base`, in turn."""
    moment = 0
    code = -signal.SIGKILL
    while code:
        moment += 1
        code = ending(child(_publish_until, source, base, name, moment))
        if code not in (0, -signal.SIGKILL):
            sys.exit(f"a publisher ended with {code}")
        check(base, name)
    print(name, moment, flush=True)


def _publish_until(source, base, name, moment):
    calls = 0

    def hook(event, arguments):
        nonlocal calls
        if event in FILE_CALLS and base in str(arguments):
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    publish(source, base, name, verify=False, verbose=False, keep=2)


def check(base, name):
    """Fail if a version lacks a file, or a number that was used is not recorded."""
    folder = pathlib.Path(base, name)
    versions = [path for path in folder.glob("*") if path.name.isdigit()]
    for path in versions:
        for file in (
            "saved_model.pb",
            "variables/variables.index",
            "assets.extra/metadata.json",
            "assets.extra/tf_serving_warmup_requests",
        ):
            if not path.joinpath(file).stat().st_size:
                sys.exit(f"{path / file} is empty")
    record = folder / ".last_version"
    recorded = int(record.read_text()) if record.exists() else 0
    if any(int(path.name) > recorded for path in versions):
        sys.exit(f"{versions} are not all in the record, {recorded}")


def main(source, base):
    versions.LOADING_SECONDS = 0  # No server loads them.
    race(source, base, "race", children=4, versions=3)
    race(source, base, "pruning_race", children=3, versions=3, keep=2)
    kill_at_calls(source, base, "killed_at_calls")


if __name__ == "__main__":
    main(*sys.argv[1:])
