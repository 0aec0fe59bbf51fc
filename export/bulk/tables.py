"""Tables of scores, a file per shard, and what they add up to."""

import csv
import math

import numpy as np

from ..install_hint import install_hint
from .errors import BulkError

COLUMNS = ("id", "nats", "bits_per_dim")
FORMATS = ("csv", "parquet")


def check_format(name):
    """Raise `BulkError` if tables of this format cannot be written here."""
    if name == "parquet":
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError as error:
            raise BulkError(
                f"{error}: {install_hint('bulk')}; or use --format csv"
            ) from None


def write_table(path, rows, table_format):
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


def read_scores(path, table_format):
    """Return the nats and the bits per dimension of a table, float64."""
    if table_format == "parquet":
        import pyarrow.parquet as pq

        table = pq.read_table(path, columns=list(COLUMNS[1:]))
        return [table[name].to_numpy().astype("float64") for name in COLUMNS[1:]]
    with open(path, encoding="utf-8", newline="") as opened:
        rows = [(row[1], row[2]) for row in csv.reader(opened)][1:]
    return list(np.array(rows, "float32").reshape(-1, 2).T.astype("float64"))


class Moments:
    """Mean and standard error of numbers that arrive in parts.

    The last digits depend on the order of the parts, so take them in a fixed one.

    Reference:
        Chan, Golub and LeVeque, Updating Formulae and a Pairwise Algorithm for
        Computing Sample Variances, 1979.
    """

    def __init__(self):
        self.count, self.mean, self._squares = 0, 0.0, 0.0

    def add(self, values):
        """Take in an array of numbers."""
        count = len(values)
        if not count:
            return
        mean = float(values.mean())
        total = self.count + count
        difference = mean - self.mean
        self._squares += float(((values - mean) ** 2).sum())
        self._squares += difference**2 * self.count * count / total
        self.mean += difference * count / total
        self.count = total

    @property
    def standard_error(self):
        """Standard error of the mean; NaN for fewer than two numbers."""
        if self.count < 2:
            return math.nan
        return math.sqrt(self._squares / (self.count - 1) / self.count)
