"""Metadata of an exported model, and the hash that identifies it."""

import hashlib
import json
import pathlib
from typing import Any

from .files import PathLike

METADATA_FILE = "assets.extra/metadata.json"


def content_hash(directory: PathLike, metadata: dict[str, Any]) -> str:
    """Return the SHA-256 of a SavedModel's content, which identifies it.

    The content is every file outside of `assets.extra/`, with its name: graph, weights
    and assets. It is also the metadata, whose `sha256` is left out, in any layout. The
    warm-up records are not part of it: they change no answer, and may be written later.

    Args:
        directory: Path of the SavedModel.
        metadata: Its metadata, as JSON gives them.

    Returns:
        64 hexadecimal digits.
    """
    files = {}
    for path in pathlib.Path(directory).rglob("*"):
        name = path.relative_to(directory).as_posix()
        if path.is_file() and not name.startswith("assets.extra/"):
            files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    described = {key: value for key, value in metadata.items() if key != "sha256"}
    content = json.dumps({"files": files, "metadata": described}, sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def read_metadata(directory: PathLike) -> dict[str, Any]:
    """Return the metadata of a SavedModel, or an empty dict if it has none.

    Args:
        directory: Path of the SavedModel.
    """
    file = pathlib.Path(directory, METADATA_FILE)
    return json.loads(file.read_text("utf-8")) if file.exists() else {}
