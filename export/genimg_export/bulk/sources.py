"""Images to score, in shards.

A source has `num_shards`, `record()`, which tells it from another, and `read(index)`,
which yields dicts of one example: `id`, `image` uint8, and `label` where the data has
labels.
"""

import dataclasses
import glob
import hashlib
import os
import pathlib
import re

import numpy as np

from ..quiet_start import import_tensorflow
from .shards import (
    BulkError,
    check_num_shards,
    is_whole,
    read_record,
    shard_path,
    shard_range,
)

# Image files that would be left out.
_OTHER_IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".tif", ".tiff", ".webp"}


@dataclasses.dataclass(frozen=True)
class TFRecords:
    """Files of `tf.train.Example`, each a shard, as `genimg-bulk-sample` writes them.

    An example has a PNG or JPEG file `image`, and maybe `seed` and `label`. Its id is
    its seed, or else `FILE:POSITION`.

    Attributes:
        files: Absolute paths.
    """

    files: tuple[str, ...]

    @property
    def num_shards(self):
        """Number of files."""
        return len(self.files)

    def record(self):
        """Return what tells the files from others."""
        return _record_of(self.files)

    def read(self, index):
        """Yield the examples of a file."""
        file = self.files[index]
        if read_record(file) is not None and not is_whole(file):
            raise BulkError(
                f"{file} is damaged; the command that drew it draws it again"
            )
        import tensorflow as tf

        try:
            for position, record in enumerate(tf.data.TFRecordDataset(file)):
                feature = tf.train.Example.FromString(record.numpy()).features.feature
                name = f"{os.path.basename(file)}:{position}"
                if "image" not in feature:
                    raise BulkError(f"{name} has no `image`; it has {[*feature]}")
                example = {
                    key: feature[key].int64_list.value[0]
                    for key in ("seed", "label")
                    if key in feature
                }
                content = feature["image"].bytes_list.value[0]
                example["image"] = _decoded(content, name)
                yield {"id": example.pop("seed", name), **example}
        except tf.errors.DataLossError:
            raise BulkError(f"{file} is damaged, or no TFRecord file") from None


@dataclasses.dataclass(frozen=True)
class ImageFolder:
    """The PNG files of a folder and its subfolders, by name. The id is the path.

    Attributes:
        folder: Absolute path.
        files: Paths below it.
        num_shards: Number of shards.
    """

    folder: str
    files: tuple[str, ...]
    num_shards: int

    def record(self):
        """Return what tells the files from others."""
        return _record_of([os.path.join(self.folder, file) for file in self.files])

    def read(self, index):
        """Yield the examples of a shard."""
        first, end = shard_range(len(self.files), self.num_shards, index)
        for name in self.files[first:end]:
            content = pathlib.Path(self.folder, name).read_bytes()
            yield {"id": name, "image": _decoded(content, name)}


@dataclasses.dataclass(frozen=True)
class TfdsSplit:
    """A split of a data set of tensorflow-datasets. The id is the example's position.

    Attributes:
        folder: Folder of the prepared data set's version.
        split: Name of the split.
        num_examples: Number of its examples.
        num_shards: Number of shards.
    """

    folder: str
    split: str
    num_examples: int
    num_shards: int

    def record(self):
        """Return the data set and its split."""
        return {"folder": self.folder, "split": self.split, "of": self.num_examples}

    def read(self, index):
        """Yield the examples of a shard."""
        import tensorflow_datasets as tfds

        first, end = shard_range(self.num_examples, self.num_shards, index)
        builder = tfds.builder_from_directory(self.folder)
        dataset = builder.as_dataset(
            split=f"{self.split}[{first}:{end}]",
            shuffle_files=False,
            # One file after the other, so that the id is the position.
            read_config=tfds.ReadConfig(interleave_cycle_length=1),
        )
        for position, example in enumerate(tfds.as_numpy(dataset)):
            labels = {k: example[k] for k in ("label",) if k in example}
            yield {"id": first + position, "image": example["image"], **labels}


def _record_of(files):
    """Return the number of files, and a hash of their names and sizes.

    For shards, the hash is that of their recorded content, which is the same for
    shards that were damaged and drawn again.
    """
    digest = hashlib.sha256()
    for file in files:
        content = read_record(file) or os.path.getsize(file)
        digest.update(f"{file} {content}\n".encode())
    return {"files": len(files), "sha256": digest.hexdigest()}


def _decoded(content, name):
    """Return the pixels of an image file, with the colors it has."""
    import tensorflow as tf

    # TensorFlow would cut 16 bits to 8. A PNG file tells them in its 25th byte.
    if content.startswith(b"\x89PNG") and content[24:25] == b"\x10":
        raise BulkError(f"{name} has 16 bits per color; the model takes 8")
    try:
        return np.asarray(tf.io.decode_image(content, expand_animations=False))
    except tf.errors.InvalidArgumentError:
        raise BulkError(f"{name} is no image file that can be read") from None


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
        check_num_shards(len(files), num_shards or 1)
        return ImageFolder(os.path.abspath(data), files, num_shards or 1)
    if ":" in data:
        name, split = data.rsplit(":", 1)
        return _tfds_split(name, split, num_shards or 1)
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
        splits = dict(builder.info.splits)
        if split not in splits:  # Shards cannot be slices of a sum of splits.
            raise ValueError(f"its splits are {', '.join(splits)}")
        count = splits[split].num_examples
    except Exception as error:
        # The errors of tensorflow-datasets have many types.
        raise BulkError(f"{name}:{split} cannot be read: {error}") from None
    if "image" not in (builder.info.features or {}):
        raise BulkError(f"{name} has no feature `image`")
    check_num_shards(count, num_shards)
    return TfdsSplit(str(builder.data_dir), split, count, num_shards)


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
