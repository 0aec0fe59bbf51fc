import re
import subprocess
import sys

import pytest

from tests.subprocesses import ROOT, run_python

MODULES = ("client", "export_model", "serve", "verify", "bulk.sample", "bulk.score")
PROJECT = (ROOT / "pyproject.toml").read_text()
QUIET = """
import os, sys
os.dup2(1, 2)
from genimg_export.quiet_start import import_tensorflow
import_tensorflow()
sys.modules["tensorflow"].constant(1.0) + 1.0
print("on standard error", file=sys.stderr, flush=True)
"""
STOPPED = """
import os, signal, threading, time
from export.arguments import stopped_by_ctrl_c
threading.Thread(target=time.sleep, args=(300,)).start()
with stopped_by_ctrl_c("Run it again."):
    print("drawn", end="")
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(300)
"""
LIGHT = """
import importlib, sys
from genimg_export.clients import ImageClient, rest
for name in sys.argv[1:]:
    assert callable(importlib.import_module(f"genimg_export.{name}").main)
print({"keras", "keras_genimg", "tensorflow"} & set(sys.modules))
"""


def test_a_wheel_has_the_package_and_its_client_needs_no_tensorflow(tmp_path):
    # Installed as the wheel does it, by pyproject.toml.
    table = PROJECT.split(".wheel.force-include]")[1]
    source, target = re.search(r'^(\w+) = "(\w+)"', table, re.MULTILINE).groups()
    (tmp_path / target).symlink_to(ROOT / source)
    options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    assert run_python("-W", "error", "-c", LIGHT, *MODULES, **options) == "set()\n"


@pytest.mark.parametrize("script", ["verify.py", "bulk/score.py"])
def test_scripts_of_a_checkout_use_its_files(script, tmp_path):
    """`tests/test_docs.py` runs the first lines of the others."""
    (tmp_path / "genimg_export").mkdir()
    installed = tmp_path / "genimg_export" / "__init__.py"
    installed.write_text("raise ImportError('not the checkout')")
    options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    path = ROOT / "export" / script
    assert run_python("-W", "error", path, "--help", **options).startswith("usage: ")


def test_commands_are_functions_of_modules_in_the_wheel():
    table = PROJECT.split("[project.scripts]")[1].split("\n\n")[0].strip()
    found = re.findall(r'^genimg-[\w-]+ = "genimg_export\.(.+):main"$', table, re.M)
    assert len(found) == len(table.splitlines())
    assert set(found) == {*MODULES, "train"}
    assert '"examples/train.py" = "genimg_export/train.py"' in PROJECT


@pytest.mark.slow
@pytest.mark.parametrize("level", ["", "2"])
def test_tensorflow_is_imported_without_notices(level, tmp_path):
    (tmp_path / "genimg_export").symlink_to(ROOT / "export")
    options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    options["TF_CPP_MIN_LOG_LEVEL"] = level
    assert run_python("-c", QUIET, **options) == "on standard error\n"


def test_ctrl_c_ends_with_one_line():
    command = [sys.executable, "-c", STOPPED]
    stopped = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert stopped.returncode == 130 and stopped.stdout == "drawn"
    assert stopped.stderr == "\nRun it again.\n"
