"""Nginx with the configuration of TensorFlow Serving's proxy."""

import contextlib
import os
import shutil
import subprocess

import pytest

from tests.export.running_server import free_port, listens, started
from tests.subprocesses import ROOT

TF_SERVING = ROOT / "export" / "tf_serving"
PAGE = ROOT / "export" / "genimg_export" / "server" / "page"
NGINX = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@contextlib.contextmanager
def running_nginx(directory, target, base_dir):
    """Run nginx with export/tf_serving/nginx.conf, except for paths and addresses.

    It reads the files of the folder `tls` of `directory`. Gives its address. Skips a
    test where nginx is not installed.
    """
    if NGINX is None:
        pytest.skip("needs nginx")
    port = free_port()
    shutil.copy(TF_SERVING / "guard.js", directory)
    text = (TF_SERVING / "nginx.conf").read_text()
    text = text.replace(" /tmp/", f" {directory}/")
    for old, new in {
        "listen 8501;": f"listen 127.0.0.1:{port};",
        "server tf-serving:8501;": f"server {target.removeprefix('http://')};",
        "access_log /dev/stdout;": "access_log off;",
        "include /tls/": f"include {directory}/tls/",
        "root /page;": f"root {PAGE};",
        "alias /page/$1;": f"alias {PAGE}/$1;",
        "alias /models/;": f"alias {base_dir}/;",
        "alias /models/$1": f"alias {base_dir}/$1",
    }.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    (directory / "nginx.conf").write_text(text)
    options = "daemon off;" + " user root;" * (os.geteuid() == 0)
    command = [NGINX, "-e", "stderr", "-c", directory / "nginx.conf", "-g", options]
    checked = subprocess.run([*command, "-t"], capture_output=True, text=True)
    if "ngx_http_js_module.so" in checked.stderr:
        pytest.skip("needs nginx's module njs")
    with started(command, directory / "log.txt", lambda: listens(port)):
        yield f"http://127.0.0.1:{port}"
