"""The job of scoring images, and the tables of their scores."""

import csv
import dataclasses
import itertools
import json
import math

import numpy as np

from ..files import write_bytes
from ..install_hint import install_hint
from .saved_model import SavedModel
from .shards import BulkError, shard_path, write_shard
from .sources import ImageFolder, TfdsSplit, TFRecords

COLUMNS = ("id", "nats", "bits_per_dim")
FORMATS = ("csv", "parquet")


@dataclasses.dataclass(frozen=True)
class ScoreJob:
    """The log-likelihoods of images, computed in shards.

    Attributes:
        model: `SavedModel` of the signature `log_prob`.
        source: Source that the images are read from.
        prefix: Absolute path that the names of all files begin with.
        format: A member of `FORMATS`.
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
        if self.format == "parquet":
            try:
                import pyarrow.parquet  # noqa: F401
            except ImportError as error:
                raise BulkError(
                    f"{error}: {install_hint('bulk')}; or use --format csv"
                ) from None
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
        write_shard(
            self.path(index), lambda path: _write_table(path, rows, self.format)
        )

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
        paths = [self.path(index) for index in range(self.num_shards)]
        tables = [_read_scores(path, self.format) for path in paths]
        nats, bits = map(np.concatenate, zip(*tables, strict=True))
        # JSON has no NaN.
        root = math.sqrt(len(nats)) if len(nats) > 1 else None
        summary: dict[str, float | None] = {"images": len(nats)}
        for name, values in zip(COLUMNS[1:], (nats, bits), strict=True):
            summary[name] = float(values.mean())
            error = root and float(values.std(ddof=1)) / root
            summary[f"{name}_standard_error"] = error
        path = f"{self.prefix}-summary.json"
        write_bytes(path, json.dumps(summary, indent=1).encode())
        error = summary["nats_standard_error"]
        return [
            f"{len(nats)} images: {nats.mean():.4f} nats (standard error "
            f"{math.nan if error is None else error:.4f}), {bits.mean():.4f} bits/dim. "
            f"Wrote {path}."
        ]


def _write_table(path, rows, table_format):
    """Write rows of `COLUMNS`."""
    ids, nats, bits = zip(*rows, strict=True)
    if table_format == "parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        columns = [pa.array(ids), pa.array(nats, "float32"), pa.array(bits, "float32")]
        pq.write_table(pa.table(dict(zip(COLUMNS, columns, strict=True))), path)
        return
    with open(path, "x", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(COLUMNS)
        # Nine digits give the same float32 when they are read.
        writer.writerows((i, f"{n:.9g}", f"{b:.9g}") for i, n, b in rows)


def _read_scores(path, table_format):
    """Return the nats and the bits per dimension of a table, float64."""
    if table_format == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=list(COLUMNS[1:]))
        return [table[name].to_numpy().astype("float64") for name in COLUMNS[1:]]
    with open(path, encoding="utf-8", newline="") as opened:
        rows = [(row[1], row[2]) for row in csv.reader(opened)][1:]
    return list(np.array(rows, "float32").reshape(-1, 2).T.astype("float64"))
