"""Publishers in processes of their own, which may be killed.

A script: imports once, then forks a child for each publisher, since an import of
TensorFlow takes seconds.

    publishers.py race SOURCE BASE CHILDREN VERSIONS KEEP
    publishers.py kill_at_calls SOURCE BASE
    publishers.py kill_at_times SOURCE BASE VERIFIED UNVERIFIED
"""

import os
import pathlib
import random
import signal
import sys
import time
import traceback

from keras_genimg.serving import publish

NAME = "model"
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


def race(source, base, children, versions, keep):
    """Let several processes publish at the same time."""

    def run():
        for _ in range(int(versions)):
            path = publish(
                source, base, NAME, verify=False, verbose=False, keep=int(keep) or None
            )
            # One write, so that lines of several processes do not mix.
            os.write(1, f"{path.name}\n".encode())

    numbers = [child(run) for _ in range(int(children))]
    if any([ending(number) for number in numbers]):
        sys.exit("a publisher failed")


def kill_at_calls(source, base):
    """Kill publishers before each call that touches a file below `base`, in turn."""
    moment = 0
    code = -signal.SIGKILL
    while code:
        moment += 1
        code = ending(child(_publish_until, source, base, moment))
        if code not in (0, -signal.SIGKILL):
            sys.exit(f"a publisher ended with {code}")
        check(base)
    print(moment)


def _publish_until(source, base, moment):
    calls = 0

    def hook(event, arguments):
        nonlocal calls
        if event in FILE_CALLS and base in str(arguments):
            calls += 1
            if calls == moment:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    publish(source, base, NAME, verify=False, verbose=False, keep=2)


def kill_at_times(source, base, verified, unverified):
    """Kill publishers at random times, some that verify and some that do not."""
    generator = random.Random(0)
    for verify, count in ((True, verified), (False, unverified)):

        def run(verify=verify):
            publish(source, base, NAME, verify=verify, verbose=False)

        start = time.monotonic()
        if ending(child(run)):
            sys.exit("a publisher failed")
        whole = time.monotonic() - start
        killed = 0
        while killed < int(count):
            number = child(run)
            time.sleep(generator.uniform(0, whole))
            os.kill(number, signal.SIGKILL)
            if ending(number):
                killed += 1
                print("killed", flush=True)
            else:
                whole *= 0.8  # The machine was slower when the first one ran.
            check(base)


def check(base):
    """Fail if a version lacks a file, or a number that was used is not recorded."""
    folder = pathlib.Path(base, NAME)
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


if __name__ == "__main__":
    {f.__name__: f for f in (race, kill_at_calls, kill_at_times)}[sys.argv[1]](
        *sys.argv[2:]
    )
