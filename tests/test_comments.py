"""Comments and docstrings begin with a sentence that has a subject and a verb."""

import ast
import re
import tokenize

from tests.subprocesses import ROOT

# Sentences that began with one of these had no subject, or hid it behind a clause.
BANNED = re.compile(r"\W*(Which|Of|Nor|As|Rather|Without|Where)\b")
FOLDERS = ("keras_genimg", "export", "examples", "tests")


def beginnings(path):
    """Return line and text of docstrings and comments, if a file may have faults."""
    source, found = path.read_text(), []
    if not re.search(rf"[#\"]{BANNED.pattern}", source):
        return found  # Parsing takes most of the time.
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            if text := ast.get_docstring(node):
                found.append((node.body[0].lineno, text))
    above = 0  # Line of the comment that the next line may continue.
    with tokenize.open(path) as file:
        for token in tokenize.generate_tokens(file.readline):
            if token.type == tokenize.COMMENT:
                row = token.start[0]
                if row != above + 1:
                    found.append((row, token.string))
                above = row
    return found


def test_comments_and_docstrings_begin_with_a_subject():
    faults = [
        f"{path.relative_to(ROOT)}:{line}: {text.splitlines()[0]}"
        for folder in FOLDERS
        for path in sorted((ROOT / folder).rglob("*.py"))
        for line, text in beginnings(path)
        if BANNED.match(text)
    ]
    assert not faults


def test_faults_are_noticed(tmp_path):
    path = tmp_path / "faults.py"
    lines = ['"""Of a module."""', "# A comment of two lines that says, or not,"]
    lines += ["# Which is which.", "x = 1", "y = 2  # As above.", "# Where"]
    path.write_text("\n".join(lines))
    found = [line for line, text in beginnings(path) if BANNED.match(text)]
    assert found == [1, 5]
