"""Names of models and versions, and what lies in a model's folder, may be anything."""

import pathlib
import re
import tempfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from genimg_export.publishing import publish
from genimg_export.server.models import version_directories
from genimg_export.versions import MAX_VERSION, RECORD, Versions
from tests.arbitrary import accepts, integers, is_int, values

# Digits of other scripts, leading zeros, signs and numbers of too many digits.
digits = st.text(st.sampled_from("0123456789٣５²-+_ "), min_size=1, max_size=22)
names = st.one_of(
    digits,
    st.text(
        st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
        min_size=1,
        max_size=5,
    ),
).filter(lambda name: name not in (".", "..", ".lock", RECORD))
records = st.one_of(digits.map(str.encode), st.binary(max_size=4))


@given(
    folders=st.lists(names, max_size=3),
    record=st.one_of(st.none(), records),
    version=st.one_of(st.none(), integers),
)
def test_a_new_version_is_above_all_that_a_server_may_have_loaded(
    folders, record, version
):
    with tempfile.TemporaryDirectory() as directory:
        for name in folders:
            pathlib.Path(directory, name).mkdir(exist_ok=True)
        if record is not None:
            pathlib.Path(directory, RECORD).write_bytes(record)
        last = max([0, *(int(n) for n in folders if re.fullmatch("[0-9]+", n))])
        text = "0" if record is None else record.decode("utf-8", "replace").strip()
        is_number = text.isdecimal()
        last = max(last, int(text)) if is_number else last
        right = is_number and last < (version or last + 1) <= MAX_VERSION
        right &= version != 0
        versions = Versions(directory)
        assert accepts(versions.check_new, version) == right
        if right:
            number = versions.check_new(version)
            assert all(number > loaded for loaded in version_directories(directory))


@given(name=st.one_of(values, st.text(st.sampled_from("aZ0_.-é/ \n"), max_size=4)))
def test_names_of_models(name):
    """Nothing is written before all arguments have been checked."""
    is_right = isinstance(name, str)
    is_right = is_right and re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]*", name)
    with tempfile.TemporaryDirectory() as base_dir:
        with pytest.raises(ValueError, match="Received") as caught:
            publish(None, base_dir, name)
        assert not list(pathlib.Path(base_dir).iterdir())
    wrong = "`model` of publish" if is_right else "`name` of publish"
    assert str(caught.value).startswith(wrong)


@given(version=values, keep=values)
def test_numbers_of_versions_to_publish_and_to_keep(version, keep):
    with pytest.raises(ValueError, match="Received") as caught:
        publish(None, "nowhere", "digits", version=version, keep=keep)
    wrong = "model"
    if keep is not None and not (is_int(keep) and keep >= 2):
        wrong = "keep"
    if version is not None and not (is_int(version) and version >= 1):
        wrong = "version"
    assert str(caught.value).startswith(f"`{wrong}` of publish")
    assert not pathlib.Path("nowhere").exists()
