import pytest

from genimg_export.files import atomic_path


@pytest.fixture
def path(tmp_path):
    """A file, beside which nothing may be left."""
    path = tmp_path / "path"
    path.write_text("old")
    yield path
    assert list(tmp_path.iterdir()) == [path]


def write_directory(path):
    path.mkdir()
    (path / "file").write_text("text")


def test_a_file_is_replaced_when_it_is_complete(path):
    with atomic_path(path) as unfinished:
        unfinished.write_text("new")
        assert path.read_text() == "old"
        assert unfinished.parent == path.parent and unfinished.name.startswith(".")
    assert path.read_text() == "new"


def test_a_directory_appears_when_it_is_complete_and_is_not_replaced(path):
    path.unlink()
    with atomic_path(path) as unfinished:
        write_directory(unfinished)
        assert not path.exists()
    with pytest.raises(OSError), atomic_path(path) as unfinished:
        unfinished.mkdir()
    assert [file.name for file in path.iterdir()] == ["file"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("kind", ["file", "directory", "nothing"])
def test_nothing_is_left_after_an_error(kind, error, path):
    with pytest.raises(error), atomic_path(path) as unfinished:
        if kind == "file":
            unfinished.write_text("new")
        elif kind == "directory":
            write_directory(unfinished)
        raise error
    assert path.read_text() == "old"
