"""The job of drawing images."""

import dataclasses
import hashlib
import os
import re
from typing import Any

import numpy as np

from .image_shards import FORMATS, write_metadata
from .saved_model import SavedModel
from .shards import (
    BulkError,
    check_num_shards,
    record_path,
    shard_path,
    shard_range,
    write_shard,
)


@dataclasses.dataclass(frozen=True)
class SampleJob:
    """The images of a range of seeds, drawn in shards.

    Attributes:
        model: `SavedModel` of the signature `sample`.
        prefix: Absolute path that the names of all files begin with.
        format: A key of `FORMATS`.
        first_seed: Seed of the first image.
        num_images: Number of images.
        num_shards: Number of shards.
        batch_size: Images per call of the model.
        labels: Array of a label per image, an integer for all, or None.

    Raises:
        BulkError: If it cannot be done, with the reason.
    """

    model: SavedModel
    prefix: str
    format: str
    first_seed: int
    num_images: int
    num_shards: int
    batch_size: int
    labels: Any = None

    unit = "image"

    def __post_init__(self):
        self.model.check(["seed", "label"], self.batch_size)
        last_seed = self.first_seed + self.num_images - 1
        self.model.check_range("seed", self.first_seed, last_seed)
        check_num_shards(self.num_images, self.num_shards)
        colors = self.model.image_shape[-1]
        if self.format != "npz" and colors not in (1, 3):
            raise BulkError(
                f"PNG files have 1 or 3 colors, and the model's images {colors}; use "
                f"--format npz"
            )
        if self.format == "tfds":
            self._check_folder()
        self._check_labels()

    def _check_folder(self):
        folder, name = os.path.split(self.prefix)
        if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
            raise BulkError(
                f"--format tfds needs an --output that ends with a name of lower-case "
                f"letters, digits and _, such as drawn/digits; given: {self.prefix}"
            )
        # It would be replaced.
        others = os.path.exists(os.path.join(folder, "dataset_info.json"))
        if others and not os.path.exists(record_path(self.prefix)):
            raise BulkError(
                f"{folder} holds another data set; --format tfds needs a folder for "
                f"each. Choose another --output"
            )

    def _check_labels(self):
        if ("label" in self.model.inputs) != (self.labels is not None):
            raise BulkError(
                "the model is class-conditional; give --label or --labels"
                if self.labels is None
                else "the model is not class-conditional; leave out --label, --labels"
            )
        if self.labels is not None:
            if np.ndim(self.labels) and len(self.labels) != self.num_images:
                raise BulkError(
                    f"--labels needs a label for each of the {self.num_images} images; "
                    f"the file has {len(self.labels)}"
                )
            lowest, highest = int(np.min(self.labels)), int(np.max(self.labels))
            self.model.check_range("label", lowest, highest)

    def record(self):
        """Return what tells this run from another, as a JSON object."""
        labels = self.labels
        if np.ndim(labels):
            labels = hashlib.sha256(labels.tobytes()).hexdigest()
        return {
            "model_sha256": self.model.sha256(),
            "signature": self.model.signature,
            "first_seed": self.first_seed,
            "num_images": self.num_images,
            "num_shards": self.num_shards,
            "batch_size": self.batch_size,
            "format": self.format,
            "labels": labels,
        }

    def path(self, index):
        """Return the path of a shard."""
        stem, ending = self.prefix, FORMATS[self.format][1]
        if self.format == "tfds":
            stem += "-train.tfrecord"
        return shard_path(stem, index, self.num_shards, ending)

    def size(self, index):
        """Return the number of images of a shard."""
        first, end = shard_range(self.num_images, self.num_shards, index)
        return end - first

    def write(self, index, draw):
        """Write a shard.

        Args:
            index: Number of the shard.
            draw: What `model.load` returned.
        """
        write, _ = FORMATS[self.format]
        batches = self._draw(index, draw)
        write_shard(self.path(index), lambda path: write(path, batches))

    def _draw(self, index, draw):
        """Yield the batches of a shard."""
        first, end = shard_range(self.num_images, self.num_shards, index)
        for start in range(first, end, self.batch_size):
            positions = np.arange(start, min(start + self.batch_size, end))
            inputs = {"seed": self.first_seed + positions}
            if self.labels is not None:
                labels = np.broadcast_to(self.labels, (self.num_images,))
                inputs["label"] = labels[positions]
            yield {**inputs, "images": draw(**inputs)["images"]}

    def finish(self):
        """Write what describes all shards; return lines about it."""
        return [write_metadata(self)] if self.format == "tfds" else []
