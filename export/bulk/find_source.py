"""The source of images that a command line names."""

import glob
import os
import pathlib
import re

from ..quiet_start import import_tensorflow
from .errors import BulkError
from .shards import shard_path
from .sources import ImageFolder, TfdsSplit, TFRecords

# Image files that would be left out.
_OTHER_IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".tif", ".tiff", ".webp"}


def find_source(data, num_shards):
    """Return the source that a command line names.

    Args:
        data: Prefix of TFRecord files, folder of PNG files, or `NAME:SPLIT` of a data
            set of tensorflow-datasets, in TFDS_DATA_DIR or as a path.
        num_shards: Number of shards, or None. TFRecord files are the shards of their
            own.

    Raises:
        BulkError: If there is no such data.
    """
    records = [data] if os.path.isfile(data) else _tfrecords(data)
    if records:
        if num_shards not in (None, len(records)):
            raise BulkError(
                f"TFRecord files are shards of their own, here {len(records)}; leave "
                f"out --num-shards"
            )
        return TFRecords(tuple(os.path.abspath(file) for file in records))
    if os.path.isdir(data):
        files = _png_files(pathlib.Path(data))
        return ImageFolder(
            os.path.abspath(data), files, _shards(num_shards, len(files))
        )
    if ":" in data:
        name, split = data.rsplit(":", 1)
        return _tfds_split(name, split, num_shards)
    raise BulkError(
        f"there is no {data}-*-of-*.tfrecord and no folder {data}, and it is no "
        f"NAME:SPLIT of tensorflow-datasets"
    )


def _tfds_split(name, split, num_shards):
    import_tensorflow()
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise BulkError(f"{error}; install tensorflow-datasets") from None
    try:
        if os.path.isdir(name):
            builder = tfds.builder_from_directory(name)
        else:
            builder = tfds.builder(name)
        count = builder.info.splits[split].num_examples
    except Exception as error:
        # The errors of tensorflow-datasets have many types.
        raise BulkError(f"{name}:{split} cannot be read: {error}") from None
    if "image" not in (builder.info.features or {}):
        raise BulkError(f"{name} has no feature `image`")
    return TfdsSplit(str(builder.data_dir), split, count, _shards(num_shards, count))


def _shards(num_shards, num_images):
    num_shards = 1 if num_shards is None else num_shards
    if num_shards > num_images:
        raise BulkError(
            f"{num_images} images do not fill {num_shards} shards; lower --num-shards"
        )
    return num_shards


def _tfrecords(prefix):
    """Return the shards of a prefix, or nothing if it has none."""
    found = glob.glob(f"{glob.escape(prefix)}-*-of-*.tfrecord")
    counts = {re.findall(r"-of-(\d+)\.tfrecord$", file)[0] for file in found}
    if len(counts) > 1:
        raise BulkError(
            f"{prefix} has files of several runs, of {', '.join(sorted(counts))} shards"
        )
    if not found:
        return []
    (count,) = map(int, counts)
    shards = [shard_path(prefix, index, count, ".tfrecord") for index in range(count)]
    missing = [shard for shard in shards if not os.path.exists(shard)]
    if missing:
        raise BulkError(
            f"{len(missing)} of {count} shards are missing, the first is {missing[0]}"
        )
    return shards


def _png_files(folder):
    """Return the PNG files of a folder and its subfolders, as paths below it."""
    files = []
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        # An unfinished shard is hidden.
        if path.is_dir() or any(part.startswith(".") for part in relative.parts):
            continue
        if path.suffix.lower() in _OTHER_IMAGES:
            raise BulkError(f"{path} is not a PNG file; convert it or take it away")
        if path.suffix.lower() == ".png":
            files.append(relative.as_posix())
    if not files:
        raise BulkError(f"{folder} has no PNG files")
    return tuple(files)
