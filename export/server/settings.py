"""Settings: which models and versions are served."""

import dataclasses
import os
import re

from ..install_hint import INSTALL_HINT

_VERSION = re.compile("[0-9]{1,18}")
_LABEL = re.compile(r"([^/:=]+):([^/:=]+)=([0-9]{1,18})")


@dataclasses.dataclass(frozen=True)
class ModelSettings:
    """Settings of one model.

    Attributes:
        name: Name in the URLs.
        base_path: Directory of the version directories.
        latest: How many of the newest versions to load; None for all.
        specific: Numbers of versions to load instead; empty for `latest`.
        labels: Version number by label. Labeled versions are loaded too.
    """

    name: str
    base_path: str
    latest: int | None = 1
    specific: tuple[int, ...] = ()
    labels: dict[str, int] = dataclasses.field(default_factory=dict)

    def wanted(self, existing):
        """Return the set of versions to serve, of those that exist."""
        if self.specific:
            chosen = set(self.specific)
        else:
            newest_first = sorted(existing, reverse=True)
            chosen = set(newest_first[: self.latest])
        return (chosen | set(self.labels.values())) & set(existing)


def version_directories(base_path):
    """Return the paths of version directories by number.

    Files, and names that are not plain integers, are ignored.
    """
    try:
        with os.scandir(base_path) as entries:
            return {
                int(entry.name): entry.path
                for entry in entries
                if _VERSION.fullmatch(entry.name) and entry.is_dir()
            }
    except (FileNotFoundError, NotADirectoryError):
        return {}


def find_models(base_dir, latest, labels):
    """Return `ModelSettings` of the models `<base_dir>/<name>/<version>/`.

    Args:
        base_dir: Path of the directory.
        latest: As in `ModelSettings`.
        labels: Dict of version by label, by model name.
    """
    found = []
    for name in sorted(os.listdir(base_dir)):
        path = os.path.join(base_dir, name)
        plain = not name.startswith(".") and ":" not in name
        if plain and (version_directories(path) or name in labels):
            found.append(ModelSettings(name, path, latest, labels=labels.get(name, {})))
    return found


def parse_labels(texts):
    """Return a dict of version by label, by model name.

    Args:
        texts: Strings `NAME:LABEL=VERSION`.

    Raises:
        ValueError: If one is not of this form.
    """
    labels = {}
    for text in texts:
        found = _LABEL.fullmatch(text)
        if not found:
            raise ValueError(
                f"A label must be NAME:LABEL=VERSION, such as digits:stable=1. "
                f"Received: {text!r}"
            )
        labels.setdefault(found[1], {})[found[2]] = int(found[3])
    return labels


def read_model_config(path):
    """Return `ModelSettings` from a `models.config` of TensorFlow Serving.

    Args:
        path: Path of the text file. Relative base paths in it start at its
            directory.

    Raises:
        ImportError: If `tensorflow-serving-api` is not installed.
        ValueError: If the file is not a valid `models.config`, or is empty.
    """
    from google.protobuf import text_format

    try:
        from tensorflow_serving.config import model_server_config_pb2
    except ImportError as error:
        raise ImportError(
            f"--model-config needs tensorflow-serving-api: {INSTALL_HINT}, or "
            f"use --base-dir"
        ) from error

    with open(path, encoding="utf-8") as opened:
        text = opened.read()
    try:
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except text_format.ParseError as error:
        raise ValueError(f"{path} is not a valid models.config: {error}") from None
    if config.WhichOneof("config") != "model_config_list":
        # An editor may empty a file before it writes it. TensorFlow Serving, too,
        # refuses to go from a list of models to an empty file.
        raise ValueError(
            f"{path} has no model_config_list. Received: {text[:100]!r}, expected "
            f"model_config_list {{ config {{ ... }} }}"
        )
    directory = os.path.dirname(os.path.abspath(path))
    return [_from_proto(model, directory) for model in config.model_config_list.config]


def _from_proto(model, directory):
    policy = model.model_version_policy
    latest = policy.latest.num_versions or 1
    return ModelSettings(
        model.name,
        os.path.join(directory, model.base_path),
        None if policy.HasField("all") else latest,
        tuple(policy.specific.versions),
        dict(model.version_labels),
    )
