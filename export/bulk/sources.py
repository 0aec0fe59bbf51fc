"""Images to score, in shards.

A source has `num_shards`, `record()`, which tells it from another, and `read(index)`,
which yields dicts of one example: `id`, `image` uint8, and `label` where the data has
labels.
"""

import dataclasses
import glob
import os
import pathlib

import numpy as np

from ..quiet_start import import_tensorflow
from .errors import BulkError
from .shards import shard_range


@dataclasses.dataclass(frozen=True)
class TFRecords:
    """Files of `tf.train.Example`, each a shard, as `sample.py` writes them.

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
        """Return the names and sizes of the files."""
        return {file: os.path.getsize(file) for file in self.files}

    def read(self, index):
        """Yield the examples of a file."""
        import tensorflow as tf

        file = self.files[index]
        for position, serialized in enumerate(tf.data.TFRecordDataset(file)):
            feature = tf.train.Example.FromString(serialized.numpy()).features.feature
            name = f"{os.path.basename(file)}:{position}"
            if "image" not in feature:
                raise BulkError(f"{name} has no `image`; it has {', '.join(feature)}")
            example = {
                key: feature[key].int64_list.value[0]
                for key in ("seed", "label")
                if key in feature
            }
            content = feature["image"].bytes_list.value[0]
            example["image"] = _decoded(content, name)
            yield {"id": example.pop("seed", name), **example}


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
        """Return the folder, and the names and sizes of its files."""
        sizes = {f: os.path.getsize(os.path.join(self.folder, f)) for f in self.files}
        return {"folder": self.folder, "files": sizes}

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
            split=f"{self.split}[{first}:{end}]", shuffle_files=False
        )
        for position, example in enumerate(tfds.as_numpy(dataset)):
            labels = {k: example[k] for k in ("label",) if k in example}
            yield {"id": first + position, "image": example["image"], **labels}


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
    records = sorted(glob.glob(f"{glob.escape(data)}-*-of-*.tfrecord"))
    if os.path.isfile(data):
        records = [data]
    if records:
        if num_shards not in (None, len(records)):
            raise BulkError(
                f"TFRecord files are shards of their own, here {len(records)}; leave "
                f"out --num-shards"
            )
        return TFRecords(tuple(os.path.abspath(file) for file in records))
    if os.path.isdir(data):
        found = pathlib.Path(data).rglob("*.png")
        files = sorted(path.relative_to(data).as_posix() for path in found)
        if not files:
            raise BulkError(f"{data} has no PNG files")
        return ImageFolder(
            os.path.abspath(data), tuple(files), _shards(num_shards, len(files))
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


def _decoded(content, name):
    """Return the pixels of an image file, with the colors it has."""
    import tensorflow as tf

    try:
        return np.asarray(tf.io.decode_image(content, expand_animations=False))
    except tf.errors.InvalidArgumentError:
        raise BulkError(f"{name} is no image file that can be read") from None
