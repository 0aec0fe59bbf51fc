import pathlib
import re
import subprocess
import sys
import zipfile

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
from genimg_export.arguments import stopped_by_ctrl_c
# A shell's background jobs ignore Ctrl-C, and so would this process.
signal.signal(signal.SIGINT, signal.default_int_handler)
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


def test_commands_import_neither_tensorflow_nor_keras(tmp_path):
    options = {"cwd": tmp_path, "PYTHONPATH": str(ROOT / "export")}
    assert run_python("-W", "error", "-c", LIGHT, *MODULES, **options) == "set()\n"


def test_commands_are_functions_of_modules():
    table = PROJECT.split("[project.scripts]")[1].split("\n\n")[0].strip()
    found = re.findall(r'^genimg-[\w-]+ = "genimg_export\.(.+):main"$', table, re.M)
    assert len(found) == len(table.splitlines())
    assert set(found) == {*MODULES, "train"}


def build(version, folder):
    """Build a wheel of the checkout; return the opened file."""
    wheels = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling")
    pytest.importorskip("hatch_fancy_pypi_readme", reason="needs its package")
    builder = wheels.WheelBuilder(str(ROOT))
    (path,) = builder.build(directory=str(folder), versions=[version])
    return zipfile.ZipFile(path)


def test_a_wheel_has_both_packages_and_nothing_else(tmp_path):
    with build("standard", tmp_path) as wheel:
        names = wheel.namelist()
    folders = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert folders == {"keras_genimg", "genimg_export"}
    assert "genimg_export/server/page/index.html" in names
    # Each file at its place in the checkout: none is copied there from elsewhere.
    for package in (ROOT / "keras_genimg", ROOT / "export" / "genimg_export"):
        files = {path for path in package.rglob("*.py") if path.is_file()}
        expected = {path.relative_to(package.parent).as_posix() for path in files}
        inside = {name for name in names if name.startswith(f"{package.name}/")}
        assert {name for name in inside if name.endswith(".py")} == expected
    assert "keras_genimg/presets/trained/VAE-mnist_50.npz" in names


def test_an_editable_install_imports_from_the_checkout(tmp_path):
    with build("editable", tmp_path) as wheel:
        (path,) = [name for name in wheel.namelist() if name.endswith(".pth")]
        folders = wheel.read(path).decode().split()
    assert {pathlib.Path(folder) for folder in folders} == {ROOT, ROOT / "export"}


@pytest.mark.slow
@pytest.mark.parametrize("level", ["", "2"])
def test_tensorflow_is_imported_without_notices(level, tmp_path):
    options = {"cwd": tmp_path, "TF_CPP_MIN_LOG_LEVEL": level}
    assert run_python("-c", QUIET, **options) == "on standard error\n"


def test_ctrl_c_ends_with_one_line():
    command = [sys.executable, "-c", STOPPED]
    options = {"cwd": ROOT / "export", "capture_output": True, "text": True}
    stopped = subprocess.run(command, **options)
    assert stopped.returncode == 130 and stopped.stdout == "drawn"
    assert stopped.stderr == "\nRun it again.\n"
