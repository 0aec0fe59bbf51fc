"""The job of scoring images, without an engine."""

import argparse
import csv
import json
import pathlib
import shutil
import struct

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from genimg_export.bulk.command import run
from genimg_export.bulk.sampling import SampleJob
from genimg_export.bulk.scoring import ScoreJob
from genimg_export.bulk.shards import BulkError
from genimg_export.bulk.sources import find_source
from tests.export.bulk.files import LABELS, write_all

pytestmark = pytest.mark.slow

PNG_FILES = [f"{'more/' * (number > 4)}{number:02}.png" for number in range(11)]


@pytest.fixture(scope="module")
def data(saved, call, drawn, tmp_path_factory):
    """Folder of eleven drawn images in three forms."""
    folder = tmp_path_factory.mktemp("data")
    for form in ("tfrecord", "tfds"):
        prefix = str(folder / form / "a")
        job = SampleJob(saved("pixels"), prefix, form, 5, 11, 3, 4, LABELS)
        write_all(job, call("pixels"))
    (folder / "png" / "more").mkdir(parents=True)
    images = drawn("pixels", np.arange(5, 16), LABELS)
    for name, image in zip(PNG_FILES, images, strict=True):
        Image.fromarray(image).save(folder / "png" / name)
    return folder


@pytest.fixture
def score(saved, tmp_path):
    """Function that returns a job that scores images by `pixels`."""

    def make(data, num_shards=None, form="csv", label=None, batch_size=3):
        model, source = saved("pixels", "log_prob"), find_source(str(data), num_shards)
        prefix = str(tmp_path / "scores" / "a")
        (tmp_path / "scores").mkdir(exist_ok=True)
        return ScoreJob(model, source, prefix, form, batch_size, label)

    return make


@pytest.fixture
def loaded(call):
    return call("pixels", "log_prob")


def table_of(path):
    """Return the rows of a table of scores."""
    if path.endswith("csv"):
        with open(path, newline="") as opened:
            return [tuple(row.values()) for row in csv.DictReader(opened)]
    return [*zip(*pq.read_table(path).to_pydict().values(), strict=True)]


@pytest.mark.parametrize(
    "name, num_shards, form, label, ids",
    [
        ("tfrecord/a", None, "csv", None, range(5, 16)),
        ("tfrecord/a", None, "parquet", None, range(5, 16)),
        ("tfds:train", 2, "csv", None, range(11)),
        ("png", 4, "csv", 1, PNG_FILES),
    ],
)
def test_scores(
    data, score, loaded, drawn, log_prob, name, num_shards, form, label, ids
):
    job = score(f"{data}/{name}", num_shards, form, label)
    write_all(job, loaded)
    rows = sum((table_of(job.path(index)) for index in range(job.num_shards)), [])
    found, *scores = zip(*rows, strict=True)
    assert [str(each) for each in found] == [str(each) for each in ids]
    nats, bits = np.array(scores, "float32")
    images = drawn("pixels", np.arange(5, 16), LABELS)
    wanted = -log_prob(images, LABELS if label is None else label)
    np.testing.assert_allclose(nats, wanted, rtol=1e-6)
    np.testing.assert_allclose(bits, nats / np.log(2) / 60, rtol=1e-5)
    summary = json.loads(pathlib.Path(f"{job.prefix}-summary.json").read_text())
    assert summary["images"] == 11
    wanted = nats.astype("float64")
    np.testing.assert_allclose(summary["nats"], wanted.mean(), rtol=1e-14)
    error = wanted.std(ddof=1) / np.sqrt(11)
    np.testing.assert_allclose(summary["nats_standard_error"], error, rtol=1e-12)


def test_a_damaged_table_of_another_task_is_named(data, score, loaded):
    job = score(data / "tfrecord" / "a")
    write_all(job, loaded)
    summary, table = (
        pathlib.Path(f"{job.prefix}-summary.json"),
        pathlib.Path(job.path(0)),
    )
    summary.unlink()
    whole = table.read_bytes()
    table.write_bytes(b"".join(whole.splitlines(keepends=True)[:-1]))
    arguments = argparse.Namespace(engine="local", shard_index=1)
    with pytest.raises(BulkError, match=f"{table} is damaged.* --shard-index 0"):
        run(job, arguments)
    assert not summary.exists()
    table.write_bytes(whole)
    run(job, arguments)
    assert json.loads(summary.read_text())["images"] == 11


def test_images_and_options_that_are_refused(data, score, loaded, tmp_path):
    large, text, deep = (tmp_path / name for name in ("large", "text", "deep"))
    for folder in (large, text, deep):
        folder.mkdir()
    Image.new("RGB", (9, 9)).save(large / "a.png")
    (text / "a.png").write_text("text")
    Image.fromarray(np.zeros((4, 5), "uint16")).save(deep / "a.png")
    for folder, label, message in (
        (data / "png", None, r"image 00\.png has no label; give --label"),
        (data / "png", 3, "integers from 0 to 2; given: 3"),
        (large, 1, r"a\.png is uint8 \(9, 9, 3\); .* \(4, 5, 3\)"),
        (text, 1, r"a\.png is no image file"),
        (deep, 1, r"a\.png has 16 bits per color"),
    ):
        with pytest.raises(BulkError, match=message):
            score(folder, label=label).write(0, loaded)
    with pytest.raises(BulkError, match="at most 16 images a call"):
        score(data / "png", label=1, batch_size=17)
    assert not list((tmp_path / "scores").iterdir())


def test_data_that_is_not_there(data):
    for named, num_shards, message in (
        (data / "a", 1, "it is no NAME:SPLIT"),
        (data / "tfds", 1, "has no PNG files"),
        (data / "png", 12, "11 images do not fill 12 shards"),
        (data / "tfrecord" / "a", 4, "shards of their own, here 3"),
        (f"{data / 'tfds'}:test", 1, "tfds:test cannot be read"),
        (f"{data / 'tfds'}:train+train", 2, "its splits are train"),
        ("no_such_set:test", 1, "no_such_set:test cannot be read"),
    ):
        with pytest.raises(BulkError, match=message):
            find_source(str(named), num_shards)


def test_shards_and_images_that_would_be_left_out(data, tmp_path):
    for number in (0, 2):
        shutil.copy(data / "tfrecord" / f"a-0000{number}-of-00003.tfrecord", tmp_path)
    with pytest.raises(BulkError, match=r"1 of 3 shards .*a-00001-of-00003\.tfrecord"):
        find_source(str(tmp_path / "a"), None)
    (tmp_path / "a-00000-of-00002.tfrecord").touch()
    with pytest.raises(BulkError, match="several runs, of 00002, 00003 shards"):
        find_source(str(tmp_path / "a"), None)
    pictures = tmp_path / "pictures"
    unfinished = pictures / ".a-00000-of-00001.1f"
    unfinished.mkdir(parents=True)
    for file in (unfinished / "0.png", pictures / "1.PNG"):
        Image.new("L", (4, 4)).save(file, "PNG")
    assert find_source(str(pictures), None).files == ("1.PNG",)
    (pictures / "2.jpg").touch()
    with pytest.raises(BulkError, match=r"2\.jpg is not a PNG file"):
        find_source(str(pictures), None)


def test_a_damaged_shard_is_named_and_scored_once_it_is_drawn_again(
    data, score, loaded, tmp_path
):
    copy = shutil.copytree(data / "tfrecord", tmp_path / "drawn")
    record = score(copy / "a").record()
    shard = copy / "a-00001-of-00003.tfrecord"
    whole = shard.read_bytes()
    # The first record alone is a file without a fault.
    (length,) = struct.unpack("<Q", whole[:8])
    for content in (b"x" * 100, whole[: length + 16]):
        shard.write_bytes(content)
        with pytest.raises(BulkError, match=f"{shard} is damaged; the command"):
            score(copy / "a").write(1, loaded)
    shutil.rmtree(copy / ".shards")
    shard.write_bytes(b"x" * 100)
    with pytest.raises(BulkError, match=f"{shard} is damaged, or no TFRecord"):
        score(copy / "a").write(1, loaded)
    shutil.copytree(data / "tfrecord", copy, dirs_exist_ok=True)
    assert score(copy / "a").record() == record
    score(copy / "a").write(1, loaded)
