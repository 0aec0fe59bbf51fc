"""Publishing of models for TensorFlow Serving."""

import contextlib
import errno
import os
import pathlib
import re
import shutil
import stat
import warnings

import keras
import tensorflow as tf

from keras_genimg.models import GenerativeModel
from keras_genimg.ops.checks import check_positive_int
from keras_genimg.saved_model.metadata import read_metadata
from keras_genimg.serving.verification.report import VerificationError
from keras_genimg.serving.verifying import verify as verify_saved_model
from keras_genimg.serving.versions import Versions, sync_tree
from keras_genimg.serving.warmup import checked_batch_sizes, write_warmup


def publish(
    model,
    base_dir,
    name,
    version=None,
    batch_sizes=(1,),
    keep=None,
    verify=True,
    timeout=600,
    verbose=True,
    **options,
):
    """Give a model to a server as `<base_dir>/<name>/<version>/`.

    The version is written under a name that servers ignore, verified, put on the disk
    and then renamed. It appears whole or not at all, under a number never used before,
    and overwrites nothing, also when this process is killed or others publish at the
    same time. After a failure there is nothing new but the empty `<base_dir>/<name>/`.

    Publishing the same `.keras` file or SavedModel again gives the same bytes in every
    file, also from another process, with the same versions of TensorFlow, Keras and
    this library and the same kind of device. The exception is a class that makes layers
    without names: Keras numbers these (`dense_3`) in the order in which a process makes
    them, and their names are in the graph and beside the weights.

    Example:
    ```python
    from keras_genimg.serving import publish

    publish(model, "served", "digits", batch_sizes=(1, 8), keep=3)
    ```

    Args:
        model: A `GenerativeModel`, or the path of a `.keras` file of one, or of a
            SavedModel, which is copied.
        base_dir: Directory of models, on a local or mounted file system; made if it
            is not there.
        name: Name of the model, as clients will write it.
        version: Its number; above all that were used, also if those were removed. One
            more than the last by default.
        batch_sizes: Numbers of rows to write warm-up records for, see `write_warmup`;
            empty to write none.
        keep: How many versions to keep, this one included; all by default. What is
            below them is removed.
        verify: Whether to `verify` the version, and not to publish what fails.
        timeout: Seconds for the verification's runs through TensorFlow's C API.
        verbose: Whether to print each check and where the version is.
        **options: Those of `GenerativeModel.export`: `image_size`, `max_rows`,
            `bad_rows`, `xla_twins`, `metadata` and those of `endpoints`, such as
            `num_candidates`.

    Returns:
        The version's `pathlib.Path`.

    Raises:
        VerificationError: If the version must not be served; its `report` says why.
        ValueError: If an argument is not as described.
        OSError: If the disk is full or cannot be written.
    """
    directory = _model_directory(base_dir, name)
    if version is not None:
        version = check_positive_int("version", version, "publish")
    if keep is not None:
        keep = check_positive_int("keep", keep, "publish")
    write, max_rows = _writer(model, options)
    batch_sizes = checked_batch_sizes(batch_sizes, max_rows, "publish")

    with _full_disk_named(directory):
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
            sync_tree(written)
            path = versions.add(written, workspace, version)
            if verbose:
                print(f"Published {path}", flush=True)
            if keep is not None:
                _prune(versions, keep, workspace, verbose)
    return path


def _model_directory(base_dir, name):
    base_dir = os.fspath(base_dir)
    if "://" in base_dir:
        raise ValueError(
            "`base_dir` of publish must be a directory, since other stores do not "
            "rename at once. Publish to a directory and copy the version under a name "
            f"that is no number. Received: base_dir={base_dir!r}"
        )
    if not isinstance(name, str) or not re.fullmatch(
        r"[A-Za-z0-9_][\w.-]*", name, re.A
    ):
        raise ValueError(
            "`name` of publish must be of letters, digits, `_`, `.` and `-`, and not "
            f"begin with `.` or `-`. Received: name={name!r}"
        )
    return pathlib.Path(os.path.abspath(base_dir), name)


def _writer(model, options):
    """Return a function that writes the SavedModel, and how many rows it may take."""
    if isinstance(model, (str, os.PathLike)):
        path = pathlib.Path(model)
        if (path / "saved_model.pb").is_file():
            if options:
                raise ValueError(
                    f"{path} is a SavedModel, which is published as it was exported. "
                    f"Give the options to `export`. Received: {', '.join(options)}"
                )
            write = _copier(path)
            return write, read_metadata(path).get("max_rows")
        model = _load(path)
    if not isinstance(model, GenerativeModel):
        raise ValueError(
            "`model` of publish must be a `GenerativeModel`, or the path of a `.keras` "
            "file of one, or of a SavedModel. Received an object of type "
            f"{type(model).__name__}"
        )
    return lambda path: model.export(path, verbose=False, **options), None


def _copier(source):
    def copy(path):
        shutil.copytree(source, path)
        for folder, _, _ in os.walk(path):  # The source may be read-only.
            os.chmod(folder, os.stat(folder).st_mode | stat.S_IRWXU)

    return copy


def _load(path):
    if not path.is_file():
        raise ValueError(
            "`model` of publish must be the path of a `.keras` file, or of a "
            f"SavedModel, a directory with saved_model.pb. Received: {path}"
        )
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as error:  # A file of any kind fails in any way.
        raise ValueError(f"{path} cannot be loaded: {error}") from error


def _prune(versions, keep, workspace, verbose):
    try:
        removed = versions.prune(keep, workspace)
    except OSError as error:  # The new version is there all the same.
        warnings.warn(f"Old versions could not be removed: {error}", stacklevel=3)
        return
    if verbose and removed:
        print(f"Removed versions {', '.join(map(str, removed))}", flush=True)


@contextlib.contextmanager
def _full_disk_named(directory):
    """Say what a full disk means; TensorFlow and `shutil` word it in their own ways."""
    try:
        yield
    except (OSError, tf.errors.OpError) as error:
        for code in (errno.ENOSPC, errno.EDQUOT):
            if os.strerror(code) in str(error):
                raise OSError(
                    code,
                    f"{os.strerror(code)}. Nothing was published, older versions are "
                    "as they were. Free space, or keep fewer versions",
                    str(directory),
                ) from error
        raise
