import pytest

from keras_genimg.files import atomic_path


def test_a_file_is_replaced_when_it_is_complete(tmp_path):
    path = tmp_path / "file.txt"
    path.write_text("old")
    with atomic_path(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == tmp_path and unfinished.name.startswith(".")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_appears_when_it_is_complete(tmp_path):
    with atomic_path(tmp_path / "made") as unfinished:
        unfinished.mkdir()
        (unfinished / "file").write_text("text")
        assert not (tmp_path / "made").exists()
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["file", "directory", "nothing"])
def test_nothing_is_left_after_an_error(kind, error, tmp_path):
    path = tmp_path / "path"
    path.write_text("old")
    with pytest.raises(error):
        with atomic_path(path) as unfinished:
            if kind == "file":
                unfinished.write_text("new")
            elif kind == "directory":
                unfinished.mkdir()
                (unfinished / "file").write_text("new")
            raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_directory_with_files_is_not_replaced(tmp_path):
    path = tmp_path / "path"
    path.mkdir()
    (path / "file").write_text("old")
    with pytest.raises(OSError):
        with atomic_path(path) as unfinished:
            unfinished.mkdir()
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "file").read_text() == "old"
