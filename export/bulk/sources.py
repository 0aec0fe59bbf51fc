"""Images to score, in shards.

A source has `num_shards`, `record()`, which tells it from another, and `read(index)`,
which yields dicts of one example: `id`, `image` uint8, and `label` where the data has
labels.
"""

import dataclasses
import hashlib
import json
import os
import pathlib

import numpy as np

from .errors import BulkError
from .shards import is_whole, read_record, shard_range


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
        """Return what tells the files from others."""
        records = {file: read_record(file) for file in self.files}
        if None in records.values():
            return _record_of(self.files)
        # The same for shards that were damaged and drawn again.
        digest = hashlib.sha256(json.dumps(records).encode()).hexdigest()
        return {"files": len(self.files), "sha256": digest}

    def read(self, index):
        """Yield the examples of a file."""
        file = self.files[index]
        if read_record(file) is not None and not is_whole(file):
            raise BulkError(
                f"{file} is damaged; the command that drew it draws it again"
            )
        import tensorflow as tf

        for position, serialized in enumerate(_records(file)):
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


def _records(file):
    """Yield the records of a file."""
    import tensorflow as tf

    try:
        yield from tf.data.TFRecordDataset(file)
    except tf.errors.DataLossError:
        raise BulkError(f"{file} is damaged, or no TFRecord file") from None


def _record_of(files):
    """Return the number of files, and a hash of their names and sizes."""
    digest = hashlib.sha256()
    for file in files:
        digest.update(f"{file} {os.path.getsize(file)}\n".encode())
    return {"files": len(files), "names_and_sizes_sha256": digest.hexdigest()}


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
