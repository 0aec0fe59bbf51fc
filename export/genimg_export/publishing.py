"""Publish models to TensorFlow Serving."""

import os
import pathlib
import re
import shutil
import stat
import warnings
from collections.abc import Iterable
from typing import Any

import keras

from .checks import check_int, check_model_path
from .files import PathLike, sync_tree
from .metadata import content_hash, read_metadata
from .verifying import VerificationError
from .verifying import verify as verify_saved_model
from .versions import Versions
from .warmup import checked_batch_sizes, write_warmup


def publish(
    model: keras.Model | PathLike,
    base_dir: PathLike,
    name: str,
    version: int | None = None,
    batch_sizes: Iterable[int] = (1,),
    keep: int | None = None,
    verify: bool = True,
    timeout: float = 600,
    verbose: bool = True,
    **options: Any,
) -> pathlib.Path:
    """Publish a model to a server as `<base_dir>/<name>/<version>/`.

    The version is written under a name that servers ignore, verified, flushed to disk
    and then renamed. Publication is atomic, takes a number never used before and
    overwrites nothing, even if this process is killed or others publish at the same
    time. A failure leaves at most `<base_dir>/<name>/`, without the version.

    `sha256` in the metadata identifies the version and its copies. A SavedModel that is
    published keeps its own. Publishing a `.keras` file twice gives two, see
    `write_saved_model`.

    Only the first of several workers that train a model publishes. The others
    return at once. The path of a file is published by every process that passes it.

    Example:
        >>> from keras_genimg.serving import publish
        >>> publish(model, "served", "digits", batch_sizes=(1, 8), keep=3)

    Args:
        model: A `GenerativeModel`, the path of its `.keras` file, or the path of a
            SavedModel, which is copied.
        base_dir: Directory of models on a local or mounted file system; created if
            missing.
        name: Name of the model for clients.
        version: Version number, above all numbers ever used, removed versions included.
            One above the last by default.
        batch_sizes: Batch sizes to write warm-up records for, see `write_warmup`; empty
            to write none.
        keep: Number of versions to keep, including this one; all by default. At least
            2, since servers answer from the older version while they load a new one.
            Older ones are removed, except in the ten minutes after their publication,
            in which a server may be loading them.
        verify: Whether to `verify` the version and publish it only if it passes.
        timeout: Seconds for the verification's runs of the model.
        verbose: Whether to print each check, the version's SHA-256 and its path.
        **options: Options of `GenerativeModel.export`: `image_size`, `max_examples`,
            `xla_twins`, `metadata`, `batching`, which is true by
            default, and the options of `endpoints`, such as `num_candidates`.

    Returns:
        The version's `pathlib.Path`. Without `version` only the worker that publishes
        knows the number; the others return `<base_dir>/<name>/`.

    Raises:
        VerificationError: If verification fails; its `report` says why.
        ValueError: If an argument is invalid.
        OSError: If the disk is not writable. A full disk may also raise a
            `tf.errors.OpError`. Nothing is published then, and older versions stay.
    """
    directory = _model_directory(base_dir, name)
    if version is not None:
        version = check_int("version", version, "publish")
    if keep is not None:
        keep = check_int("keep", keep, "publish", smallest=2)
    # Before the export, which takes long.
    batch_sizes = checked_batch_sizes(batch_sizes, owner="publish")
    write = _writer(model, options)
    strategy = getattr(model, "distribute_strategy", None)  # A path has none.
    if strategy is not None and not strategy.extended.should_checkpoint:
        return directory if version is None else directory / str(version)

    versions = Versions(directory)
    with versions.workspace() as workspace:
        versions.check_new(version)
        written = workspace / "model"
        write(written)
        if batch_sizes:
            write_warmup(written, batch_sizes)
        if verify:
            report = verify_saved_model(written, verbose, timeout)
            if not report.passed:
                report.directory = f"A new version of {directory}"
                raise VerificationError(report)
        content = content_hash(written, read_metadata(written))
        sync_tree(written)
        path = versions.add(written, workspace, version)
        if verbose:
            print(f"SHA-256 {content}")
            print(f"Published {path}", flush=True)
        if keep is not None:
            _prune(versions, keep, workspace, verbose)
    return path


def _model_directory(base_dir, name):
    base_dir = os.fspath(base_dir)
    if "://" in base_dir:
        raise ValueError(
            "`base_dir` of publish must be a directory, since other stores do not "
            "rename atomically. Publish to a directory, copy the version under a name "
            f"that is no number, and rename it. Received: base_dir={base_dir!r}"
        )
    if not isinstance(name, str) or not re.fullmatch(
        r"[A-Za-z0-9_][\w.-]*", name, re.A
    ):
        raise ValueError(
            "`name` of publish must consist of letters, digits, `_`, `.` and `-`, and "
            f"must not begin with `.` or `-`. Received: name={name!r}"
        )
    return pathlib.Path(os.path.abspath(base_dir), name)


def _writer(model, options):
    """Return a function that writes the SavedModel to a path."""
    if isinstance(model, (str, os.PathLike)):
        path = pathlib.Path(model)
        if (path / "saved_model.pb").is_file():
            if options:
                raise ValueError(
                    f"{path} is a SavedModel, which is published as exported. Pass "
                    f"the options to `export`. Received: {', '.join(options)}"
                )
            return lambda written: _copy(path, written)
        check_model_path(path)
        try:
            model = keras.saving.load_model(path, compile=False)
        except Exception as error:  # Other files can fail with any error.
            raise ValueError(
                f"`model` of publish must be the path of a `.keras` file or of a "
                f"SavedModel, a directory with saved_model.pb. Received: {path}, which "
                f"cannot be loaded: {error}"
            ) from error
    if not hasattr(model, "endpoints"):
        raise ValueError(
            "`model` of publish must be a `GenerativeModel`, or the path of its "
            "`.keras` file or of a SavedModel. Received an object of type "
            f"{type(model).__name__}"
        )
    options = {"batching": True, **options}
    return lambda path: model.export(path, verbose=False, **options)


def _copy(source, path):
    shutil.copytree(source, path)
    for folder, _, _ in os.walk(path):  # The source may be read-only.
        os.chmod(folder, os.stat(folder).st_mode | stat.S_IRWXU)


def _prune(versions, keep, workspace, verbose):
    try:
        removed = versions.prune(keep, workspace)
    except OSError as error:  # The new version has been published.
        warnings.warn(f"Old versions could not be removed: {error}", stacklevel=3)
        return
    if verbose and removed:
        print(f"Removed versions {', '.join(map(str, removed))}", flush=True)
