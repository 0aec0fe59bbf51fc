"""The job of scoring images, without an engine."""

import argparse
import csv
import json
import pathlib
import shutil
import struct

import numpy as np
import pytest

Image = pytest.importorskip("PIL.Image", reason='needs the extra "serving"')

from export.bulk.command import run  # noqa: E402
from export.bulk.sampling import SampleJob  # noqa: E402
from export.bulk.scoring import ScoreJob  # noqa: E402
from export.bulk.shards import BulkError  # noqa: E402
from export.bulk.sources import find_source  # noqa: E402
from tests.export.bulk.files import write_all  # noqa: E402

pytestmark = pytest.mark.slow

LABELS = np.arange(11) % 3
PNG_FILES = [f"{'more/' * (number > 4)}{number:02}.png" for number in range(11)]


@pytest.fixture(scope="module")
def data(saved, call, models, tmp_path_factory):
    """Folder of eleven drawn images in three forms, and their scores by label."""
    folder = tmp_path_factory.mktemp("data")
    for form in ("tfrecord", "tfds"):
        prefix = str(folder / form / "a")
        job = SampleJob(saved("pixels"), prefix, form, 5, 11, 3, 4, LABELS)
        write_all(job, call("pixels"))
    model = models["pixels"]
    images = model.generate(11, seed=5, conditions=LABELS)
    (folder / "png" / "more").mkdir(parents=True)
    for name, image in zip(PNG_FILES, model.likelihood.to_display(images), strict=True):
        Image.fromarray(image).save(folder / "png" / name)
    nats = {
        label: -model.log_prob({model.inputs[0].name: images, "label": labels})
        for label, labels in ((None, LABELS), (1, np.ones(11, "int32")))
    }
    return folder, nats


def table_of(path):
    """Return the rows of a table of scores."""
    if path.endswith("csv"):
        with open(path, newline="") as opened:
            return [tuple(row.values()) for row in csv.DictReader(opened)]
    pq = pytest.importorskip("pyarrow.parquet")
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
def test_scores(data, saved, call, tmp_path, name, num_shards, form, label, ids):
    folder, expected = data
    source = find_source(str(folder / name), num_shards)
    prefix = str(tmp_path / "scores" / "a")
    job = ScoreJob(saved("pixels", "log_prob"), source, prefix, form, 3, label)
    write_all(job, call("pixels", "log_prob"))
    rows = sum((table_of(job.path(index)) for index in range(job.num_shards)), [])
    found, *scores = zip(*rows, strict=True)
    assert [str(each) for each in found] == [str(each) for each in ids]
    nats, bits = np.array(scores, "float32")
    np.testing.assert_allclose(nats, expected[label], rtol=1e-6)
    np.testing.assert_allclose(bits, nats / np.log(2) / 60, rtol=1e-5)
    summary = json.loads(pathlib.Path(f"{prefix}-summary.json").read_text())
    assert summary["images"] == 11
    wanted = nats.astype("float64")
    np.testing.assert_allclose(summary["nats"], wanted.mean(), rtol=1e-14)
    error = wanted.std(ddof=1) / np.sqrt(11)
    np.testing.assert_allclose(summary["nats_standard_error"], error, rtol=1e-12)


def test_a_damaged_table_of_another_task_is_named(data, saved, call, tmp_path):
    folder, _ = data
    source = find_source(str(folder / "tfrecord" / "a"), None)
    job = ScoreJob(saved("pixels", "log_prob"), source, str(tmp_path / "a"), "csv", 3)
    write_all(job, call("pixels", "log_prob"))
    summary, table = tmp_path / "a-summary.json", pathlib.Path(job.path(0))
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


def test_ids_of_tfds_are_positions(job, call, expected):
    """Also in files of more examples than tensorflow-datasets reads at a time."""
    drawn = job(format="tfds", num_images=40, num_shards=2)
    write_all(drawn, call("draw"))
    source = find_source(f"{pathlib.Path(drawn.prefix).parent}:train", 1)
    examples = list(source.read(0))
    assert [example["id"] for example in examples] == list(range(40))
    images = [example["image"] for example in examples]
    np.testing.assert_array_equal(images, expected("draw", 40, 5))


def test_refused(data, saved, call, tmp_path):
    folder, _ = data
    pixels = saved("pixels", "log_prob")
    source = find_source(str(folder / "png"), 1)

    def job(source, label=None, batch_size=2):
        prefix = str(tmp_path / "a")
        return ScoreJob(pixels, source, prefix, "csv", batch_size, label)

    with pytest.raises(BulkError, match="integers from 0 to 2; given: 3"):
        job(source, 3)
    with pytest.raises(BulkError, match="at most 16 images a call"):
        job(source, 1, 17)
    with pytest.raises(BulkError, match=r"image 00\.png has no label; give --label"):
        job(source).write(0, call("pixels", "log_prob"))
    for name, size, message in (
        ("large.png", (9, 9), r"large\.png is uint8 \(9, 9, 3\); .* \(4, 5, 3\)"),
        ("text.png", None, r"text\.png is no image file"),
        ("deep.png", 16, r"deep\.png has 16 bits per color"),
    ):
        other = tmp_path / name
        other.mkdir()
        if size == 16:
            Image.fromarray(np.zeros((4, 5), "uint16")).save(other / name)
        elif size:
            Image.new("RGB", size).save(other / name)
        else:
            (other / name).write_text("text")
        bad = job(find_source(str(other), 1), 1)
        with pytest.raises(BulkError, match=message):
            bad.write(0, call("pixels", "log_prob"))
    assert not list(tmp_path.glob("*.csv")) and not list(tmp_path.glob(".*"))


def test_data_that_is_not_there(data, tmp_path):
    folder, _ = data
    for named, num_shards, message in (
        (tmp_path / "a", 1, "it is no NAME:SPLIT"),
        (tmp_path, 1, "has no PNG files"),
        (folder / "png", 12, "11 images do not fill 12 shards"),
        (folder / "tfrecord" / "a", 4, "shards of their own, here 3"),
        (f"{folder / 'tfds'}:test", 1, "tfds:test cannot be read"),
        (f"{folder / 'tfds'}:train+train", 2, "its splits are train"),
        ("no_such_set:test", 1, "no_such_set:test cannot be read"),
    ):
        with pytest.raises(BulkError, match=message):
            find_source(str(named), num_shards)


def test_shards_and_images_that_would_be_left_out(data, tmp_path):
    folder, _ = data
    for number in (0, 2):
        name = f"a-0000{number}-of-00003.tfrecord"
        (tmp_path / name).write_bytes((folder / "tfrecord" / name).read_bytes())
    with pytest.raises(BulkError, match=r"1 of 3 shards .*a-00001-of-00003\.tfrecord"):
        find_source(str(tmp_path / "a"), None)
    (tmp_path / "a-00000-of-00002.tfrecord").touch()
    with pytest.raises(BulkError, match="several runs, of 00002, 00003 shards"):
        find_source(str(tmp_path / "a"), None)
    pictures = tmp_path / "pictures"
    (pictures / ".a-00000-of-00001.1f").mkdir(parents=True)
    Image.new("L", (4, 4)).save(pictures / ".a-00000-of-00001.1f" / "0.png")
    Image.new("L", (4, 4)).save(pictures / "1.PNG", "PNG")
    assert find_source(str(pictures), None).files == ("1.PNG",)
    Image.new("L", (4, 4)).save(pictures / "2.jpg")
    with pytest.raises(BulkError, match=r"2\.jpg is not a PNG file"):
        find_source(str(pictures), None)


def test_a_damaged_shard_is_named_and_scored_once_it_is_drawn_again(
    data, saved, call, tmp_path
):
    folder, _ = data
    copy = tmp_path / "drawn"
    shutil.copytree(folder / "tfrecord", copy)
    shard = copy / "a-00001-of-00003.tfrecord"
    whole = shard.read_bytes()
    log_prob = call("pixels", "log_prob")

    def job():
        source = find_source(str(copy / "a"), None)
        prefix = str(tmp_path / "a")
        return ScoreJob(saved("pixels", "log_prob"), source, prefix, "csv", 3)

    record = job().record()
    # The first record alone is a file without a fault.
    (length,) = struct.unpack("<Q", whole[:8])
    for content in (b"x" * 100, whole[: length + 16]):
        shard.write_bytes(content)
        with pytest.raises(BulkError, match=f"{shard} is damaged; the command"):
            job().write(1, log_prob)
    shutil.rmtree(copy / ".shards")
    shard.write_bytes(b"x" * 100)
    with pytest.raises(BulkError, match=f"{shard} is damaged, or no TFRecord"):
        job().write(1, log_prob)
    shutil.copytree(folder / "tfrecord", copy, dirs_exist_ok=True)
    assert job().record() == record
    job().write(1, log_prob)
