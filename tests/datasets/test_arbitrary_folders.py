"""A folder of arbitrary files is read whole, or the error names one of them."""

import io
import pathlib
import tempfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_genimg.datasets.readers import read_local

FORMATS = ("PNG", "GIF", "BMP", "JPEG", "TIFF", "WEBP", "PPM", "DDS", "PCX", "TGA")
SIZE = (3, 2)  # Pillow counts width, then height.


def picture(format, mode="RGB", size=SIZE, value=7):
    """Return the bytes of an image of one value."""
    written = io.BytesIO()
    Image.new(mode, size, value).save(written, format)
    return written.getvalue()


right = st.sampled_from([picture("PNG", value=(n, 2, 3)) for n in range(3)])
# Images that a folder of RGB images may not have, each for another reason.
wrong = st.sampled_from(
    [
        *(picture("PNG", mode) for mode in ("L", "I;16", "RGBA", "1")),
        picture("PNG", size=(2, 3)),
        b"",
        b"text",
    ]
)


@st.composite
def damaged(draw):
    """Draw an image file of any format, some of whose bytes are others."""
    content = bytearray(picture(draw(st.sampled_from(FORMATS))))
    for _ in range(draw(st.integers(1, 4))):
        content[draw(st.integers(0, len(content) - 1))] = draw(st.integers(0, 255))
    return bytes(content[: draw(st.integers(0, len(content)))] or content)


names = st.text(
    st.characters(exclude_characters="/\0", exclude_categories=["Cs"]),
    min_size=1,
    max_size=4,
).filter(lambda name: name not in (".", ".."))
folders = st.dictionaries(st.tuples(names, names), right, min_size=1, max_size=4)


def read(files, labels=False):
    """Write files, read them, and return the images in the order of the names."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            path = pathlib.Path(folder, *name)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        splits = read_local(pathlib.Path(folder), None, labels)
    return np.concatenate([part["images"] for part in splits.values()])


def visible(files):
    return {
        name: content
        for name, content in files.items()
        if not any(part.startswith(".") for part in name)
    }


@settings(max_examples=50)
@given(files=folders, labels=st.booleans())
def test_all_but_hidden_files_are_read(files, labels):
    shown = visible(files)
    if not shown:
        assert "No images found in" in error_of(files)
        return
    images = read(files, labels)
    assert images.shape == (len(shown), *SIZE[::-1], 3)
    colors = [Image.open(io.BytesIO(x)).getpixel((0, 0)) for x in shown.values()]
    assert sorted(images[:, 0, 0].tolist()) == sorted(map(list, colors))


def error_of(files):
    """Return the text of the ValueError that reading files raises."""
    try:
        read(files)
    except ValueError as error:
        return str(error)
    raise AssertionError("nothing was refused")


@settings(max_examples=50)
@given(files=folders, name=names, content=wrong)
def test_a_file_that_does_not_fit_is_named(files, name, content):
    files = {**visible(files), (" ", "first"): picture("PNG")}
    text = error_of({**files, ("b", f"wrong{name}"): content})
    assert "Received: " in text and f"wrong{name}" in text


@pytest.mark.filterwarnings("ignore")  # Decoders warn before they fail.
@given(content=damaged())
def test_damaged_files_are_read_or_named(content):
    """Decoders raise errors of many kinds."""
    try:
        images = read({("a", "damaged"): content})
    except ValueError as error:
        assert "Received: " in str(error) and "damaged" in str(error)
    else:
        assert images.dtype == np.uint8 and images.ndim == 4
