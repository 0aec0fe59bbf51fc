import gc
import io
import os
import runpy
import shutil
import signal
import sys
from contextlib import nullcontext, redirect_stdout
from unittest import mock

import hypothesis
import pytest

from tests.subprocesses import ROOT

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# `pytest -n 2` has a worker per core; more threads would only compete.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
# By default, the first worker would take all memory of a GPU.
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")
# A shell that runs pytest in the background lets it ignore Ctrl-C, and with it the
# commands that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The same examples in each run; once a week, and with RANDOM_EXAMPLES=1, new ones. What
# fails prints a line that repeats it.
hypothesis.settings.register_profile(
    "chosen",
    derandomize=not os.environ.get("RANDOM_EXAMPLES"),
    deadline=None,
    database=None,
    print_blob=True,
)
hypothesis.settings.load_profile("chosen")

CHROMIUM_FLAGS = (
    "--headless --no-sandbox --disable-gpu --no-first-run "
    "--disable-background-networking --disable-component-update --disable-sync"
).split()


# TensorFlow is imported late, since workers start only after this file was read.
def pytest_collection_finish():
    from tests.untuned import leave_datasets_untuned

    leave_datasets_untuned()
    # Imported objects stay alive, so exclude them from garbage collection. Tracing
    # makes many objects that live for a while, so collect less often.
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(autouse=True)
def fixed_seed():
    import keras
    import tensorflow as tf

    # Setting TensorFlow's seed discards the kernels of all eager operations. Making
    # them again takes an eighth of the time of all tests, so a seed of 0 is kept.
    stays = tf.compat.v1.get_seed(1) == (0, 1)
    with mock.patch.object(tf.random, "set_seed") if stays else nullcontext():
        keras.utils.set_random_seed(0)
    yield
    keras.mixed_precision.set_global_policy("float32")


@pytest.fixture(scope="session")
def run_example():
    """Return a function that runs an example or `genimg-train` in this process.

    It returns what the command prints.
    """

    def run(command, *options):
        from genimg_export import train

        folder = ROOT / "examples"
        name, *given = command.split()
        printed = io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(printed):
            patch.setattr(sys, "argv", [name, *given, *map(str, options)])
            patch.setattr(sys, "path", [str(folder), *sys.path])
            if name == "genimg-train":
                train.main()
            else:
                runpy.run_path(str(folder / name), run_name="__main__")
        return printed.getvalue()

    return run


@pytest.fixture(scope="module")
def browser():
    """Chromium of the system."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()
