import re

from tests.subprocesses import ROOT, run_python

MODULES = ("client", "export_model", "serve", "verify")
LIGHT = """
import importlib, sys
from genimg_export.clients import ImageClient, rest
for name in sys.argv[1:]:
    assert callable(importlib.import_module(f"genimg_export.{name}").main)
print({"keras", "keras_genimg", "tensorflow"} & set(sys.modules))
"""


def test_a_wheel_has_the_package_and_its_client_needs_no_tensorflow(tmp_path):
    # Installed as the wheel does it, by pyproject.toml.
    table = (ROOT / "pyproject.toml").read_text().split(".wheel.force-include]")[1]
    source, target = re.search(r'^(\w+) = "(\w+)"', table, re.MULTILINE).groups()
    (tmp_path / target).symlink_to(ROOT / source)
    options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
    assert run_python("-W", "error", "-c", LIGHT, *MODULES, **options) == "set()\n"
    printed = run_python("-m", "genimg_export.client", "--help", **options)
    assert printed.startswith("usage: ")


def test_scripts_of_a_checkout_use_its_files(tmp_path):
    (tmp_path / "genimg_export").mkdir()
    installed = tmp_path / "genimg_export" / "__init__.py"
    installed.write_text("raise ImportError('not the checkout')")
    for name in MODULES:
        script = ROOT / "export" / f"{name}.py"
        options = {"cwd": tmp_path, "PYTHONPATH": str(tmp_path)}
        printed = run_python("-W", "error", script, "--help", **options)
        assert printed.startswith(f"usage: {name}.py")
