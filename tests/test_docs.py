"""The commands, links and code of README and documentation."""

import argparse
import importlib
import re
import runpy
import shlex
import subprocess
import sys

import pytest
import yaml

from tests.subprocesses import ROOT, run_python

PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    ROOT / "export" / "README.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
COMMAND_LINE = r'^(genimg-[\w-]+) = "(.+):main"$'
PROJECT = (ROOT / "pyproject.toml").read_text()
# Modules of the installed commands.
MODULES = dict(re.findall(COMMAND_LINE, PROJECT, re.MULTILINE))
# Languages of blocks that are shown and not executed, and what they would need.
# Commands in them are parsed.
NOT_EXECUTED = {
    "docs/choosing.md": "python",  # A process for each preset.
    "docs/index.md": "bash",  # A package index.
    "docs/moving.md": "python",  # Models of other code.
    "docs/papers.md": "python",  # MNIST.
    "docs/questions.md": "bash python",  # A model of the reader's.
    "docs/tutorials/any_part.md": "bash python",  # Photos of the reader's.
    "docs/tutorials/quick_start.md": "bash",  # A package index.
    "docs/tutorials/serving.md": "bash",  # A Docker engine.
    # Several machines, Slurm, Kubernetes.
    "docs/tutorials/training.md": "bash python yaml",
}


class Parsed(Exception):
    """Raised in place of running a command."""


def text_of(page):
    """Return a page without its executed cells, each command in one line."""
    cells = re.compile(r"^```\{code-cell\}.*?^```", re.DOTALL | re.MULTILINE)
    text = cells.sub("", page.read_text()).replace("\\\n", " ")
    in_running_text = re.compile(r"(?<!`)`[^`]+`(?!`)")
    return in_running_text.sub(lambda code: code.group().replace("\n", " "), text)


def commands_of(text):
    """Return the commands in a text that are ours, without redirections."""
    scripts = r"python (?:-m )?(?:examples|genimg_export|tests)[/.]\w"
    ours = rf"(?:{scripts}|genimg-[\w-]+ [\w.-])"
    return {command.strip(" '") for command in re.findall(rf"{ours}[^`\n|>&]*", text)}


TEXT = "\n".join(map(text_of, PAGES))
BLOCKS = commands_of("\n".join(re.findall(r"^```.*?^```", TEXT, re.DOTALL | re.M)))
COMMANDS = commands_of(TEXT)


def test_there_are_commands():
    assert len(COMMANDS) > 30


@pytest.mark.parametrize("command", sorted(COMMANDS))
def test_commands_take_their_options(command, monkeypatch):
    # The variables of our commands are numbers.
    program, *rest = shlex.split(re.sub(r"\$[A-Z_]+", "0", command))
    module = MODULES.get(program)
    if program == "python" and rest[0] == "-m":
        _, module, *rest = rest
        if (ROOT / module.replace(".", "/")).is_dir():
            module += ".__main__"
    elif program == "python":
        path, *rest = rest
        monkeypatch.syspath_prepend((ROOT / path).parent)
    monkeypatch.setattr(sys, "argv", [command, *rest])
    original = argparse.ArgumentParser.parse_args

    def parse_args(self, *arguments, **options):
        original(self, *arguments, **options)
        raise Parsed

    def error(self, message):
        # A command in running text may leave out required options.
        assert command not in BLOCKS and "required" in message, message
        raise Parsed

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse_args)
    monkeypatch.setattr(argparse.ArgumentParser, "error", error)
    with pytest.raises(Parsed):
        if module:
            importlib.import_module(module).main()
        else:
            runpy.run_path(str(ROOT / path), run_name="__main__")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page):
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)\s]*)?\)", page.read_text()):
        if not target.startswith("http"):
            assert (page.parent / target).exists(), target


def test_code_of_the_documentation_is_executed_when_it_is_built():
    for page in (ROOT / "docs").rglob("*.md"):
        name = str(page.relative_to(ROOT))
        languages = set(re.findall(r"^```(\w+)$", page.read_text(), re.MULTILINE))
        assert languages - {"text"} == set(NOT_EXECUTED.get(name, "").split()), name


@pytest.mark.slow
def test_the_script_of_the_readme_runs_as_printed(tmp_path):
    readme = (ROOT / "README.md").read_text()
    blocks = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    script = "\n".join(blocks).replace("epochs=10", "epochs=1")
    (tmp_path / "script.py").write_text(script)
    output = run_python("script.py", cwd=tmp_path)
    assert "bits_per_dim" in output
    written = tmp_path / "readme"  # The script writes into a folder of this name.
    assert (written / "digits.png").exists() and (written / "colors.png").exists()
    assert (written / "served" / "digits" / "1" / "saved_model.pb").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"script.py", "readme"}


def test_scripts_and_manifests_parse():
    text = "\n".join(page.read_text() for page in PAGES)
    blocks = re.findall(r"^```(bash|python|yaml)\n(.*?)^```", text, re.DOTALL | re.M)
    for language, block in blocks:
        if language == "bash":
            subprocess.run(["bash", "-n"], input=block, text=True, check=True)
        elif language == "python":
            compile(block, block, "exec")
        else:
            for document in yaml.safe_load_all(block):
                assert document["kind"] and document["metadata"]["name"]
    assert {language for language, _ in blocks} == {"bash", "python", "yaml"}


def test_results_of_generated_images_are_those_of_the_cards():
    from keras_genimg.presets import FAMILIES, presets_with_weights, read_card

    text = (ROOT / "docs" / "results.md").read_text()
    section = text.partition("## Generated images against test images")[2]
    table = section.partition("\n## ")[0]
    rows = re.findall(r"^\| `(.*)/(.*)`.*?\| (.*?) \| (.*?) \|", table, re.M)
    expected = set()
    for owner in FAMILIES:
        for name in presets_with_weights(owner):
            card = read_card(owner, name)
            digits = 0 if card["data"]["name"] == "cifar10" else 2
            nats = [
                f"{of['nats']:,.{digits}f} ± {of['nats_standard_error']:.{digits}f}"
                for of in (card["drawn"], card)
            ]
            expected.add((owner, name, *nats))
    assert set(rows) == expected


def test_the_documentation_has_a_page_for_each_package():
    import keras_genimg

    public = set(keras_genimg.__all__) - {"__version__", "ops"}
    pages = {page.stem for page in (ROOT / "docs" / "reference").glob("*.md")}
    assert pages == public
    index = (ROOT / "docs" / "index.md").read_text()
    assert all(f"reference/{name}.md" in index for name in public)


def test_the_gallery_has_every_picture_and_its_command():
    gallery = ROOT / "docs" / "gallery.md"
    parts = re.split(r"^!\[[^]]+\]\(([^)]+)\)$", gallery.read_text(), flags=re.M)[1:]
    captions = {
        (gallery.parent / path).resolve(): caption.strip()
        for path, caption in zip(parts[::2], parts[1::2], strict=True)
    }
    # These are curves, which another page shows.
    curves = (gallery.parent / "vae_curve.md").read_text()
    pictures = {
        path
        for folder in ("examples", "docs", "export")
        for path in (ROOT / folder).iterdir()
        if path.suffix in (".png", ".gif") and f"]({path.name})" not in curves
    }
    assert captions.keys() == pictures
    for path, caption in captions.items():
        # The caption of several pictures follows the last of them.
        assert not caption or re.match(r"\*[^*]+\*", caption), path
    made_by = r"python\s+examples/|genimg-|command|by the same model|the code in"
    for caption in filter(None, captions.values()):
        assert re.search(made_by, caption), caption


@pytest.mark.parametrize(
    "term",
    """inpainting outpainting super-resolution FID NLL likelihood nat
    ImageDataGenerator image_dataset_from_directory""".split()
    + ["anomaly detection", "density estimation", "negative log-likelihood"],
)
def test_the_glossary_has_words_that_people_search(term):
    glossary = (ROOT / "docs" / "glossary.md").read_text()
    assert f"\n{term}\n" in glossary
