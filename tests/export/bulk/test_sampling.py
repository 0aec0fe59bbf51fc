"""The job of drawing images, without an engine."""

import inspect
import json
import os
import re
import resource
import shutil
from argparse import Namespace

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from genimg_export.bulk import sample as command
from genimg_export.bulk.command import run
from genimg_export.bulk.engines import local
from genimg_export.bulk.saved_model import SavedModel
from genimg_export.bulk.shards import BulkError, claim
from genimg_export.bulk.sources import find_source
from keras_genimg.serving import read_metadata
from tests.export.bulk.files import LABELS, content, seeds_and_pixels, write_all

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "name, labels", [("draw", None), ("pixels", 1), ("pixels", LABELS)]
)
def test_images_are_those_of_the_library(job, call, expected, name, labels):
    drawn = job(name, labels=labels)
    write_all(drawn, call(name))
    seeds, images = seeds_and_pixels(drawn)
    np.testing.assert_array_equal(seeds, np.arange(5, 16))
    assert [drawn.size(index) for index in range(3)] == [3, 4, 4]
    np.testing.assert_array_equal(images, expected(name, 11, labels))
    if labels is not None:
        found = [np.load(drawn.path(index))["label"] for index in range(3)]
        np.testing.assert_array_equal(
            np.concatenate(found), np.broadcast_to(labels, 11)
        )


def test_images_are_not_merged_with_those_of_other_threads(call):
    merging = call("pixels").model.signatures["sample"]
    used = inspect.getclosurevars(call("pixels")).nonlocals["call"]
    assert "BatchFunction" in str(merging.graph.as_graph_def())
    assert "BatchFunction" not in str(used.graph.as_graph_def())


def test_png(job, call, expected, tmp_path):
    drawn = job(format="png")
    write_all(drawn, call("draw"))
    files = {int(file.stem): file for file in tmp_path.glob("drawn/*/*.png")}
    assert sorted(files) == list(range(5, 16))
    images = [np.asarray(Image.open(files[seed])) for seed in sorted(files)]
    np.testing.assert_array_equal(images, expected("draw", 11)[..., 0])


def test_tfds_and_score_read_data_sets(job, call, expected):
    """Also in files of more examples than tensorflow-datasets reads at a time."""
    labels = np.resize(LABELS, 60)
    options = {"format": "tfds", "labels": labels, "num_images": 60}
    drawn = job("pixels", **options)
    (line,) = write_all(drawn, call("pixels"))
    folder = os.path.dirname(drawn.prefix)
    assert line == f"Read them with tfds.builder_from_directory({folder!r})."
    with pytest.raises(BulkError, match="drawn holds another data set"):
        job("pixels", "drawn/others", **options)
    claim(drawn.prefix, drawn.record())
    job("pixels", **options)
    builder = tfds.builder_from_directory(folder)
    assert builder.info.splits["train"].num_examples == 60
    assert builder.info.splits["train"].shard_lengths == [20, 20, 20]
    in_order = tfds.ReadConfig(interleave_cycle_length=1)
    dataset = builder.as_dataset(split="train", read_config=in_order)
    examples = list(tfds.as_numpy(dataset))
    images = expected("pixels", 60, labels)
    assert [example["seed"] for example in examples] == list(range(5, 65))
    assert [example["label"] for example in examples] == list(labels)
    np.testing.assert_array_equal([e["image"] for e in examples], images)
    scored = list(find_source(f"{folder}:train", 1).read(0))
    assert [example["id"] for example in scored] == list(range(60))
    np.testing.assert_array_equal([e["image"] for e in scored], images)


@pytest.mark.parametrize("form", ["tfrecord", "npz", "png"])
def test_a_full_disk_leaves_whole_shards(job, call, tmp_path, form):
    drawn = job(format=form)
    os.makedirs(tmp_path / "drawn")
    drawn.write(0, call("draw"))
    before = content(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    # Files end after 20 bytes, as on a disk that is full.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, limits[1]))
    try:
        with pytest.raises(Exception, match=r"(?i)too large"):
            drawn.write(1, call("draw"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert content(tmp_path) == before
    drawn.write(1, call("draw"))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_shards": 12}, "11 images do not fill 12 shards"),
        ({"batch_size": 17}, "takes at most 16 images a call; --batch-size is 17"),
        ({"first_seed": 2**62 - 10}, r"seed must be integers from 0 to 2\*\*62 - 1"),
        ({"labels": 1}, "not class-conditional; leave out --label"),
        ({"model": "pixels"}, "class-conditional; give --label or --labels"),
        ({"model": "pixels", "labels": 3}, "integers from 0 to 2; given: 3 to 3"),
        ({"model": "pixels", "labels": LABELS[1:]}, "each of the 11 .* has 10"),
        ({"model": "pixels", "labels": LABELS - 1}, "given: -1 to 1"),
        ({"model": "plain"}, "plain/1 was not exported by keras_genimg"),
        ({"model": "candidates"}, "class-conditional"),
        ({"format": "tfds", "output": "drawn/Digits-1"}, "given: .*Digits-1"),
    ],
)
def test_refused(job, changed, message):
    with pytest.raises(BulkError, match=message):
        job(**changed)


COMMAND = ["--num-images", "3", "--batch-size", "3", "--output", "a/b", "--model"]


def test_a_class_is_given_by_its_name(saved, tmp_path):
    line = [*COMMAND, saved("candidates").directory]
    drawn = command.job_of(command.parse_arguments([*line, "--label", "green"]))
    assert drawn.labels == 1
    file = tmp_path / "labels.txt"
    file.write_text("green\nred\n0\n")
    drawn = command.job_of(command.parse_arguments([*line, "--labels", str(file)]))
    # The third class is called "0".
    np.testing.assert_array_equal(drawn.labels, [1, 0, 2])


@pytest.mark.parametrize(
    "model, lines, text",
    [
        ("candidates", "gren", "Did you mean green? Its classes are red, green, 0"),
        ("candidates", "", "no class ''"),
        ("pixels", "green", "so a label must be a number from 0; given: 'green'"),
    ],
)
def test_unknown_classes_are_refused(saved, tmp_path, model, lines, text):
    file = tmp_path / "labels.txt"
    file.write_text(f"0\n{lines}\n1\n")
    line = [*COMMAND, saved(model).directory, "--labels", str(file)]
    with pytest.raises(BulkError, match=r"labels\.txt, line 2: .*" + re.escape(text)):
        command.job_of(command.parse_arguments(line))


def test_labels_without_a_range(job, saved, monkeypatch):
    label = {**saved("pixels").inputs["label"], "low": None, "high": None}
    monkeypatch.setitem(saved("pixels").inputs, "label", label)
    assert job(model="pixels", labels=7).num_images == 11


def test_models_that_cannot_be_used(saved, base_dir):
    with pytest.raises(BulkError, match="no signature log_prob; it has decode"):
        saved("vae", "log_prob")
    with pytest.raises(BulkError, match="Give the directory of a version"):
        SavedModel(base_dir / "vae", "sample")
    with pytest.raises(BulkError, match="needs label, which bulk work has no"):
        saved("pixels").check(["seed"], 1)


def test_another_run_is_refused(job, tmp_path):
    first = job()
    claim(first.prefix, first.record())
    claim(first.prefix, first.record())
    file = tmp_path / "drawn" / "digits-run.json"
    before = file.read_text()
    assert json.loads(before)["model_sha256"] == first.model.sha256()
    for changed, message in (
        ({"first_seed": 6}, "first_seed is 6 and was 5"),
        ({"num_images": 12}, "num_images is 12 and was 11"),
        ({"model": "pixels", "labels": 1}, "model_sha256 is .*labels is 1 and was"),
        ({"format": "png"}, "format is 'png' and was 'npz'"),
    ):
        other = job(**changed)
        with pytest.raises(BulkError, match=message):
            claim(other.prefix, other.record())
    assert file.read_text() == before
    for text in ("", "{"):
        file.write_text(text)
        message = f"digits-run.json is no record of a run, but {len(text)} bytes"
        with pytest.raises(BulkError, match=message):
            claim(first.prefix, first.record())


def change_last_byte(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("form", ["tfrecord", "npz", "png"])
def test_damaged_shards_are_drawn_again(job, call, tmp_path, capsys, monkeypatch, form):
    """Whether they are too short, changed, or of a run whose records are lost."""
    options = {"num_shards": 4, "format": form}

    def run_here(job, indexes, arguments):
        for index in indexes:
            job.write(index, call("draw"))

    def draw():
        run(job(output="a", **options), Namespace(engine="local", shard_index=None))
        assert "11 of 11 images written" in capsys.readouterr().out

    monkeypatch.setattr(local, "run", run_here)  # A process takes seconds to start.
    draw()
    whole = content(tmp_path)
    # A file of each of the shards.
    pattern = "a-0000{}-of-00004" + ("/*" if form == "png" else f".{form}")
    first, _, third, last = (
        next(tmp_path.glob(pattern.format(index))) for index in range(4)
    )
    written = third.stat().st_mtime_ns
    first.write_bytes(b"x" * 100)
    change_last_byte(last)
    (record,) = (tmp_path / ".shards").glob("a-00001*")
    record.unlink()
    draw()
    assert content(tmp_path) == whole
    assert third.stat().st_mtime_ns == written  # It was whole.
    # The batch size is recorded, but changes no shard.
    del whole["a-run.json"]
    write_all(job(output="other/a", batch_size=3, **options), call("draw"))
    assert content(tmp_path / "other") == whole


def test_the_hash_is_that_of_the_export(saved, base_dir, tmp_path):
    """A copy has it, and a changed copy is refused."""
    exported = saved("vae").sha256()
    assert exported == read_metadata(base_dir / "vae" / "1")["sha256"]
    copy = shutil.copytree(base_dir / "vae" / "1", tmp_path / "1")
    assert SavedModel(copy, "sample").sha256() == exported
    for name in ("variables/variables.data-00000-of-00001", "saved_model.pb"):
        whole = (copy / name).read_bytes()
        change_last_byte(copy / name)
        with pytest.raises(BulkError, match=f"expects {exported}.*Copy the directory"):
            SavedModel(copy, "sample").sha256()
        (copy / name).write_bytes(whole)
    metadata = {**saved("vae").metadata, "license": "CC0"}
    (copy / "assets.extra" / "metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(BulkError, match="an entry of the metadata was changed"):
        SavedModel(copy, "sample").sha256()


def test_exports_of_earlier_versions_have_a_hash_too(saved, base_dir, tmp_path):
    copy = shutil.copytree(base_dir / "vae" / "1", tmp_path / "1")
    metadata = {k: v for k, v in saved("vae").metadata.items() if k != "sha256"}
    (copy / "assets.extra" / "metadata.json").write_text(json.dumps(metadata))
    hashes = {saved("vae").sha256(), SavedModel(copy, "sample").sha256()}
    change_last_byte(copy / "saved_model.pb")
    hashes.add(SavedModel(copy, "sample").sha256())
    assert len(hashes) == 2


@pytest.mark.parametrize(
    "given, message",
    [
        ("--num-images 0", "not an integer from 1"),
        ("--output .", "is a folder"),
        ("--output drawn/", "such as drawn/images"),
        ("-- --runner=X", "unrecognized arguments: --run"),
        ("--ray-address X", "goes with --engine ray"),
        ("--engine ray --shard-index 0", "goes with --engine local"),
        ("--labels words.txt", "words.txt, line 2: "),
        ("--labels pairs.txt", "must be a number from 0; given: '1 2'"),
    ],
)
def test_wrong_command_lines(
    given, message, base_dir, tmp_path, monkeypatch, run_command
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("1\ntwo\n")
    (tmp_path / "pairs.txt").write_text("1 2\n0 1\n")
    options = ("--model", base_dir / "vae" / "1", "--output", "a", "--num-images", 2)
    code = 1 if "--labels" in given else 2
    _, errors = run_command(command, *options, *given.split(), code=code)
    assert message in errors
    assert len(list(tmp_path.iterdir())) == 2
