"""The job of scoring images."""

import dataclasses
import itertools
import json

import numpy as np

from ..whole_files import write_bytes
from .errors import BulkError
from .saved_model import SavedModel
from .shards import shard_path, write_shard
from .sources import ImageFolder, TfdsSplit, TFRecords
from .tables import COLUMNS, Moments, check_format, read_scores, write_table


@dataclasses.dataclass(frozen=True)
class ScoreJob:
    """The log-likelihoods of images, computed in shards.

    Attributes:
        model: `SavedModel` of the signature `log_prob`.
        source: Where images are read from.
        prefix: Absolute path that the names of all files begin with.
        format: A member of `tables.FORMATS`.
        batch_size: Images per call of the model.
        label: Label of all images, or None for those of the data.

    Raises:
        BulkError: If it cannot be done, with the reason.
    """

    model: SavedModel
    source: TFRecords | ImageFolder | TfdsSplit
    prefix: str
    format: str
    batch_size: int
    label: int | None = None

    unit = "shard"

    def __post_init__(self):
        check_format(self.format)
        self.model.check(["images", "label"], self.batch_size)
        if self.label is not None:
            if "label" not in self.model.inputs:
                raise BulkError("the model is not class-conditional; leave out --label")
            self.model.check_range("label", self.label, self.label)

    @property
    def num_shards(self):
        """Number of shards."""
        return self.source.num_shards

    def record(self):
        """Return what tells this run from another, as a JSON object."""
        return {
            "model_sha256": self.model.sha256(),
            "signature": self.model.signature,
            "data": self.source.record(),
            "num_shards": self.num_shards,
            "batch_size": self.batch_size,
            "format": self.format,
            "label": self.label,
        }

    def path(self, index):
        """Return the path of a shard's table."""
        return shard_path(self.prefix, index, self.num_shards, f".{self.format}")

    def size(self, index):
        """Return 1: progress counts shards, whose images nobody has counted yet."""
        return 1

    def write(self, index, log_prob):
        """Write the table of a shard.

        Args:
            index: Number of the shard.
            log_prob: What `model.load` returned.
        """
        rows = self._score(index, log_prob)
        write_shard(self.path(index), lambda path: write_table(path, rows, self.format))

    def _score(self, index, log_prob):
        examples = self.source.read(index)
        rows = []
        while batch := list(itertools.islice(examples, self.batch_size)):
            inputs = {"images": np.stack([self._image(e) for e in batch])}
            if "label" in self.model.inputs:
                inputs["label"] = np.array([self._label(e) for e in batch])
            outputs = log_prob(**inputs)
            ids = [example["id"] for example in batch]
            rows += zip(ids, -outputs["log_prob"], outputs["bits_per_dim"], strict=True)
        if not rows:
            raise BulkError(f"shard {index} has no images")
        return rows

    def _image(self, example):
        image, expected = example["image"], self.model.image_shape
        if image.shape != expected or image.dtype != np.uint8:
            raise BulkError(
                f"image {example['id']} is {image.dtype} {image.shape}; the model "
                f"takes uint8 {expected}"
            )
        return image

    def _label(self, example):
        label = example.get("label") if self.label is None else self.label
        if label is None:
            raise BulkError(
                f"the model is class-conditional, and image {example['id']} has no "
                f"label; give --label"
            )
        return label

    def finish(self):
        """Write the means of all shards; return lines about them."""
        nats, bits = Moments(), Moments()
        for index in range(self.num_shards):
            for moments, values in zip(
                (nats, bits), read_scores(self.path(index), self.format), strict=True
            ):
                moments.add(values)
        summary: dict[str, float | None] = {"images": nats.count}
        for name, moments in zip(COLUMNS[1:], (nats, bits), strict=True):
            summary[name] = moments.mean
            # JSON has no NaN.
            error = moments.standard_error if moments.count > 1 else None
            summary[f"{name}_standard_error"] = error
        path = f"{self.prefix}-summary.json"
        write_bytes(path, json.dumps(summary, indent=1).encode())
        return [
            f"{nats.count} images: {nats.mean:.4f} nats (standard error "
            f"{nats.standard_error:.4f}), {bits.mean:.4f} bits/dim. Wrote {path}."
        ]
