"""The pages of docs/ hold scripts and manifests that parse, and links that lead on."""

import os
import re
import subprocess

import pytest
import yaml

from tests.subprocesses import ROOT

PAGES = sorted(ROOT.glob("docs/*.md"))


def blocks(page, language):
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_scripts_and_manifests_parse(page):
    for script in blocks(page, "bash"):
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    for script in blocks(page, "python"):
        compile(script, page.name, "exec")
    for manifest in blocks(page, "yaml"):
        for document in yaml.safe_load_all(manifest):
            assert document["kind"] and document["metadata"]["name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_and_files_exist(page):
    text = page.read_text()
    links = re.findall(r"\]\(([^)#]+)\)", text)
    files = re.findall(r"\b(?:examples|export)/\w+\.(?:py|sh)", text)
    for path in [page.parent / link for link in links if "://" not in link]:
        assert path.resolve().exists(), path
    assert all((ROOT / file).is_file() for file in files)


def test_the_worker_script_names_the_command_it_takes():
    script = ROOT / "examples" / "run_workers.sh"
    subprocess.run(["bash", "-n", script], check=True)
    ended = subprocess.run([script, "2"], capture_output=True, text=True)
    assert ended.returncode == 2 and "NUM_WORKERS COMMAND" in ended.stderr


@pytest.mark.parametrize("broken, code", [(0, 0), (1, 1)])
def test_all_workers_are_started_again_when_one_dies(broken, code, tmp_path):
    """Worker 1 fails at its first start, or at each of them."""
    program = (
        'echo "$TF_CONFIG" >> "$1/$(echo "$TF_CONFIG" | grep -o "index.: [0-9]")";'
        'case "$TF_CONFIG" in *": 1"*) '
        f'if [ {broken} = 1 ] || mkdir "$1/failed" 2>/dev/null; then exit 3; fi;; esac'
    )
    ended = subprocess.run(
        [
            ROOT / "examples" / "run_workers.sh",
            "2",
            "bash",
            "-c",
            program,
            "x",
            tmp_path,
        ],
        env={"PATH": os.environ["PATH"], "MAX_RESTARTS": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == code, ended.stderr
    assert "A worker died" in ended.stderr
    starts = (tmp_path / 'index": 1').read_text().count("cluster")
    assert starts == 2
