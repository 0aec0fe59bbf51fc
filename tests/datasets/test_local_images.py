"""Images of one's own: folders of real image files, and the file of Frey Face."""

import struct
import sys
import zlib

import keras
import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from keras_genimg.datasets import as_array, load


def digits(count, colors=1):
    """Return real digits at 8x8, in color if `colors` is 3."""
    return as_array(load("digits", "test"))[:count] * np.uint8([1, 0, 1])[-colors:]


def write(folder, images, suffix="png", **options):
    folder.mkdir(parents=True, exist_ok=True)
    for index, image in enumerate(images):
        picture = Image.fromarray(image.squeeze())
        picture.save(folder / f"{index:03d}.{suffix}", **options)
    return folder


@pytest.mark.parametrize("colors", [1, 3])
def test_a_folder_gives_its_images_in_a_fixed_order(colors, tmp_path):
    images = digits(20, colors)
    folder = write(tmp_path / "a", images[:10])
    write(folder / "sub", images[10:])
    (folder / ".hidden").write_text("not an image")
    order = np.random.default_rng(1797).permutation(20)
    loaded = as_array(load(folder, "all"))
    assert loaded.dtype == np.uint8
    np.testing.assert_array_equal(loaded, images[order])
    parts = [as_array(load(folder, s)) for s in ("train", "validation", "test")]
    assert [len(part) for part in parts] == [16, 2, 2]
    np.testing.assert_array_equal(np.concatenate(parts), loaded)


def test_subfolders_are_classes_as_in_keras(tmp_path):
    images = digits(9)
    write(tmp_path / "dog", images[3:8])
    write(tmp_path / "cat" / "at home", images[:3])
    write(tmp_path / "eel", images[8:])
    (tmp_path / "cat" / ".hidden").write_text("not an image")
    dataset = load(tmp_path, "all", labels=True)
    loaded = as_array(dataset)
    by_keras = keras.utils.image_dataset_from_directory(
        tmp_path,
        color_mode="grayscale",
        image_size=(8, 8),
        shuffle=False,
        interpolation="nearest",
        verbose=False,
    )
    assert dataset.class_names == by_keras.class_names == ["cat", "dog", "eel"]
    order = np.random.default_rng(1797).permutation(9)
    expected, labels = (np.concatenate(each) for each in zip(*by_keras, strict=True))
    np.testing.assert_array_equal(loaded["images"], expected[order])
    np.testing.assert_array_equal(loaded["label"], labels[order])
    assert len(set(labels)) == 3 and loaded["label"].dtype == np.int32
    unlabeled = load(tmp_path, "all")
    np.testing.assert_array_equal(as_array(unlabeled), loaded["images"])
    assert not hasattr(unlabeled, "class_names")
    parts = [as_array(load(tmp_path, s, labels=True)) for s in ("train", "test")]
    assert [len(part["label"]) for part in parts] == [7, 1]


def test_mixed_sizes_are_resized_as_images_of_tfds_are(tmp_path, write_set):
    images = digits(4)
    pixels = [images[0], images[1][:6], images[2], images[3][:, :5]]
    folder = write(tmp_path / "files", pixels)
    write_set("mixed", pixels, (None, None, 1))
    order = np.random.default_rng(1797).permutation(4)
    np.testing.assert_array_equal(
        as_array(load(folder, "all", image_size=7)),
        as_array(load("mixed", "train", image_size=7))[order],
    )


@pytest.mark.parametrize("mode, colors", [("1", 1), ("P", 3), ("RGBA", 3), ("LA", 1)])
def test_modes_that_lose_nothing_are_read(mode, colors, tmp_path):
    pixels = np.where(digits(1, colors)[0] > 127, 255, 0).astype("uint8")
    Image.fromarray(pixels.squeeze()).convert(mode).save(tmp_path / "0.png")
    loaded = as_array(load(tmp_path, "all"))
    np.testing.assert_array_equal(loaded, [pixels])


def test_gray_stays_gray_if_a_transparent_level_does_not_occur(tmp_path):
    pixels = np.full((1, 8, 8, 1), 9, "uint8")
    write(tmp_path, pixels, transparency=5)
    np.testing.assert_array_equal(as_array(load(tmp_path, "all")), pixels)


def test_pictures_are_turned_as_a_camera_says(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # The top row was the right side.
    write(tmp_path, digits(1)[:, :6], exif=exif)
    turned = np.rot90(digits(1)[:, :6], -1, axes=(1, 2))
    np.testing.assert_array_equal(as_array(load(tmp_path, "all")), turned)


# Files of every kind, with the pixel of each in color and in gray.
CLEAR_BLACK = (0, 0, 0, 128)  # Half of it is the white background.
KINDS = [
    ("gray.png", Image.new("L", (8, 8), 9), (9, 9, 9), 9),
    ("bits.png", Image.new("1", (8, 8), 1), (255, 255, 255), 255),
    ("deep.png", Image.fromarray(np.full((8, 8), 0x12FF, "u2")), (18, 18, 18), 18),
    ("deep.pgm", Image.fromarray(np.full((8, 8), 0x12FF, "i4")), (18, 18, 18), 18),
    ("color.png", Image.new("RGB", (8, 8), (255, 0, 0)), (255, 0, 0), 76),
    ("palette.png", Image.new("RGB", (8, 8), "red").convert("P"), (255, 0, 0), 76),
    ("ink.tif", Image.new("CMYK", (8, 8), (0, 255, 255, 0)), (255, 0, 0), 76),
    ("clear.png", Image.new("RGBA", (8, 8), CLEAR_BLACK), (127, 127, 127), 127),
    ("gone.png", Image.new("RGBA", (8, 8), (9, 9, 9, 0)), (255, 255, 255), 255),
    ("faint.png", Image.new("LA", (8, 8), (0, 128)), (127, 127, 127), 127),
]


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_files_of_all_kinds_are_converted(color_mode, tmp_path):
    for name, image, _, _ in KINDS:
        image.save(tmp_path / name)
    order = np.random.default_rng(1797).permutation(len(KINDS))
    by_name = sorted(KINDS)
    pixels = [by_name[i][2 if color_mode == "rgb" else 3] for i in order]
    expected = np.uint8(pixels).reshape(len(KINDS), 1, 1, -1)
    loaded = as_array(load(tmp_path, "all", color_mode=color_mode))
    np.testing.assert_array_equal(loaded, np.broadcast_to(expected, loaded.shape))
    assert loaded.shape[1:3] == (8, 8)


def test_opaque_images_become_rgb_as_in_keras(tmp_path):
    ramp = np.arange(0, 65536, 1024, "uint16").reshape(8, 8)
    Image.fromarray(ramp + 255).save(tmp_path / "a.png")
    colors = Image.fromarray(digits(1, 3)[0])
    colors.save(tmp_path / "b.png")
    colors.convert("P").save(tmp_path / "c.png")
    write(tmp_path / "d", digits(3))
    expected = keras.utils.image_dataset_from_directory(
        tmp_path,
        labels=None,
        image_size=(8, 8),
        shuffle=False,
        interpolation="nearest",
        verbose=False,
    )
    order = np.random.default_rng(1797).permutation(6)
    np.testing.assert_array_equal(
        as_array(load(tmp_path, "all", color_mode="rgb")), as_array(expected)[order]
    )


@pytest.mark.parametrize("color_mode, colors", [("grayscale", 1), ("rgb", 3)])
def test_files_of_the_color_mode_stay_as_they_are(color_mode, colors, tmp_path):
    images = np.random.default_rng(0).integers(256, size=(4, 9, 8, colors), dtype="u1")
    write(tmp_path, images)
    kept = as_array(load(tmp_path, "all"))
    converted = load(tmp_path, "all", color_mode=color_mode)
    np.testing.assert_array_equal(as_array(converted), kept)
    order = np.random.default_rng(1797).permutation(4)
    np.testing.assert_array_equal(kept, images[order])


def test_a_transparent_level_of_16_bits_becomes_white(tmp_path):
    write_deep_and_transparent(tmp_path, np.uint16([[5, 300], [6, 1300]]))
    loaded = as_array(load(tmp_path, "all", color_mode="grayscale"))
    np.testing.assert_array_equal(loaded[0, ..., 0], [[255, 1], [0, 5]])


def test_converted_pictures_are_turned_and_resized(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # The top row was the right side.
    deep = digits(1)[:, :6].astype("uint16") * 257
    write(tmp_path, deep, exif=exif)
    turned = np.rot90(digits(1)[:, :6], -1, axes=(1, 2))
    loaded = as_array(load(tmp_path, "all", color_mode="grayscale"))
    np.testing.assert_array_equal(loaded, turned)
    write(tmp_path / "b", digits(1, 3))
    both = as_array(load(tmp_path, "all", color_mode="rgb", image_size=5))
    assert both.shape == (2, 5, 5, 3)


@pytest.mark.parametrize(
    "prepare, text",
    [
        (lambda f: write(f, digits(1), "gif", **ANIMATED), "0.gif: 2 frames"),
        (lambda f: write(f, np.full((1, 8, 8), 70000, "i4"), "tif"), "more than 16 b"),
        (lambda f: write(f, np.zeros((1, 8, 8), "f4"), "tif"), "0.tif: mode F, which"),
        (lambda f: Image.new("LAB", (8, 8)).save(f / "0.tif"), "0.tif: mode LAB, whi"),
    ],
)
def test_what_cannot_be_converted_is_refused(prepare, text, tmp_path):
    prepare(tmp_path)
    with pytest.raises(ValueError, match=text) as error:
        load(tmp_path, "all", color_mode="rgb")
    assert "color_mode" not in str(error.value)


def test_a_color_mode_is_for_folders_of_images(tmp_path):
    path = tmp_path / "frey_rawface.mat"
    savemat(path, {"ff": np.zeros((560, 3), "uint8")})
    for name in (path, "digits", "mnist"):
        with pytest.raises(ValueError, match="folder of images.*color_mode='rgb'"):
            load(name, color_mode="rgb")
    with pytest.raises(ValueError, match="There is no folder"):
        load(tmp_path / "gone", color_mode="rgb")
    with pytest.raises(ValueError, match="'grayscale'. Received: color_mode='gray'"):
        load(tmp_path, color_mode="gray")


def test_a_color_mode_tells_data_sets_apart_only_if_it_is_given(tmp_path):
    write(tmp_path, digits(3))
    assert "color_mode" not in load(tmp_path).epochs.description
    described = load(tmp_path, color_mode="rgb").epochs.description
    assert described["color_mode"] == "rgb"


def truncate(folder, suffix):
    file = write(folder, digits(2), suffix) / f"001.{suffix}"
    file.write_bytes(file.read_bytes()[:-50])


def write_deep_and_transparent(folder, levels=None):
    """Write an image of 16 bits of which the gray 5 is transparent.

    Pillow 10 reads such files, but cannot write them.
    """
    file = write(folder, DEEP if levels is None else levels[None]) / "000.png"
    signature_and_header, rest = file.read_bytes()[:33], file.read_bytes()[33:]
    gray = b"tRNS" + struct.pack(">H", 5)
    chunk = struct.pack(">I", 2) + gray + struct.pack(">I", zlib.crc32(gray))
    file.write_bytes(signature_and_header + chunk + rest)


FRAME = Image.new("L", (8, 8))
RED, CLEAR = np.full((1, 8, 8, 3), [200, 0, 0], "u1"), np.zeros((1, 8, 8, 4), "u1")
DEEP = np.full((1, 8, 8), 300, "uint16")
# The header of a texture of 8 by 8 pixels, whose format has the flags 2.
UNKNOWN_PIXELS = struct.pack(
    "<4s31I", b"DDS ", 124, 4103, 8, 8, *[0] * 14, 32, 2, *[0] * 11
)
ANIMATED = {"save_all": True, "append_images": [FRAME]}
# What is said of a file in the error, and how to mend it.
REFUSED = [
    (lambda f: (f / "a.csv").touch(), "a.csv: an empty file", "Remove or repair"),
    (lambda f: (f / "a.csv").write_text("a"), "a.csv: no image that", "Remove or rep"),
    # Pillow knows the format, but not these pixels.
    (
        lambda f: (f / "a.dds").write_bytes(UNKNOWN_PIXELS),
        "a.dds: cannot be read: .* pixel ",
        "Remove",
    ),
    *(
        (lambda f, s=s: truncate(f, s), f"001.{s}: damaged: ", "Remove or repair")
        for s in ("png", "jpg", "bmp")
    ),
    (lambda f: write(f, [*digits(2), digits(1)[0, :6]]), "002.png: 6x8", "image_size"),
    (lambda f: write(f, [*digits(2), *digits(1, 3)]), "002.png: color", "color_mode"),
    (lambda f: write(f, [*digits(2, 3), *digits(1)]), "002.png: gray", "color_mode"),
    (lambda f: write(f, CLEAR), "000.png: transparent", "color_mode"),
    (
        lambda f: write(f, RED, transparency=(200, 0, 0)),
        "000.png: transparent",
        "color_mode",
    ),
    (lambda f: write(f, DEEP), "000.png: mode I.*, not gray", "color_mode"),
    (write_deep_and_transparent, "000.png: mode I.*, not gray", "color_mode"),
    (
        lambda f: Image.new("CMYK", (8, 8)).save(f / "a.jpg"),
        "a.jpg: mode CMYK, not gray or RGB of 8 bits",
        "color_mode",
    ),
    (lambda f: write(f, digits(1), "gif", **ANIMATED), "gif: 2 frames", "one by one"),
]
MENDS = ("Remove or repair", "one by one", "image_size", "color_mode")


@pytest.mark.parametrize(
    "prepare, text, mend", REFUSED, ids=[text for _, text, _ in REFUSED]
)
def test_folders_that_are_refused(prepare, text, mend, tmp_path):
    prepare(tmp_path)
    with pytest.raises(ValueError, match=text) as error:
        load(tmp_path, "all")
    for other in MENDS:
        assert (other in str(error.value)) == (mend in other)


def test_a_folder_without_images_is_refused(tmp_path):
    (tmp_path / ".hidden").touch()
    with pytest.raises(ValueError, match="No images found in"):
        load(tmp_path, "all")


def test_all_files_that_do_not_fit_are_counted_and_ten_are_named(tmp_path):
    write(tmp_path, digits(3))
    for index in range(11):
        (tmp_path / f"note {index:02d}.txt").write_text("no image")
    write(tmp_path / "z", digits(2, 3))
    with pytest.raises(ValueError) as error:
        load(tmp_path, "all")
    first, *lines = str(error.value).splitlines()
    assert f"Received: {tmp_path}. Files that do not fit: 13 of 16" in first
    assert first.endswith("The others are gray images of 8x8 pixels (height, width).")
    named = [f"  note {n:02d}.txt: no image that Pillow can read" for n in range(10)]
    assert lines[:11] == [*named, "  and 3 more"]
    mends = " ".join(lines[11:])
    assert "Remove or repair" in mends and '`color_mode="rgb"`' in mends
    assert "--color-mode rgb" in mends and "image_size" not in mends


def test_what_most_images_have_decides(tmp_path):
    """The first image is the one that does not fit."""
    write(tmp_path, [digits(1)[0], *digits(2, 3), digits(1, 3)[0, :6]])
    with pytest.raises(ValueError) as error:
        load(tmp_path, "all")
    lines = str(error.value).splitlines()
    assert lines[1:3] == ["  000.png: gray", "  003.png: 6x8 pixels"]
    assert "color images of 8x8" in lines[0]
    assert "--color-mode rgb" in lines[-2] and "--image-size" in lines[-1]


def test_only_colors_count_if_images_are_resized(tmp_path):
    """Sizes are those of the files."""
    write(tmp_path, [*digits(2), digits(1)[0, :6], *digits(1, 3)])
    with pytest.raises(ValueError) as error:
        load(tmp_path, "all", image_size=5)
    text = str(error.value)
    assert "do not fit: 1 of 4" in text and "003.png: color" in text
    assert "5x5" not in text and "image_size" not in text


@pytest.mark.parametrize(
    "path, split, options, text",
    [
        ("", "all", {"labels": True}, "subfolders .* Move each .* Received: .*000.png"),
        ("000.png", "all", {}, "must be that of Frey Face"),
        ("nothing", "all", {}, "There is no folder .*nothing"),
        ("", "tests", {}, r"\['train', 'validation', 'test', 'all'"),
        ("", "test", {}, "no examples.*test"),
    ],
)
def test_labels_splits_and_other_paths(path, split, options, text, tmp_path):
    write(tmp_path, digits(2))
    with pytest.raises(ValueError, match=text):
        load(tmp_path / path, split, **options)


def test_a_path_in_a_string(tmp_path):
    with pytest.raises(ValueError, match=r"pass pathlib.Path\("):
        load(str(tmp_path))


def test_missing_pillow_names_the_extra(monkeypatch, tmp_path):
    write(tmp_path, digits(1))
    monkeypatch.setitem(sys.modules, "PIL", None)
    with pytest.raises(ImportError, match=r'Pillow: pip install .*\[examples\]"'):
        load(tmp_path, "all")


class TestFreyFace:
    def test_it_is_found_by_name_and_has_a_frame_a_column(self, tmp_path, monkeypatch):
        monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
        path = tmp_path / "frey_face" / "frey_rawface.mat"
        with pytest.raises(FileNotFoundError, match=f"Download .* as {path}"):
            load("frey_face")
        path.parent.mkdir()
        frames = np.random.default_rng(0).integers(0, 256, (12, 28, 20, 1), np.uint8)
        savemat(path, {"ff": frames.reshape(12, 560).T})
        order = np.random.default_rng(1797).permutation(12)
        for name in ("frey_face", path):
            np.testing.assert_array_equal(as_array(load(name, "all")), frames[order])
        faces = as_array(load(path, "all", likelihood="gaussian", image_size=(14, 10)))
        assert faces.shape == (12, 14, 10, 1) and faces.dtype == np.float32

    @pytest.mark.parametrize(
        "content, text",
        [
            ({"ff": np.zeros((560, 3))}, r"float64 of shape \(560, 3\)"),
            ({"ff": np.zeros((500, 3), "uint8")}, r"uint8 of shape \(500, 3\)"),
            ({"other": np.zeros(3)}, "cannot be read: KeyError"),
        ],
    )
    def test_other_files_are_refused(self, content, text, tmp_path):
        path = tmp_path / "frey_rawface.mat"
        savemat(path, content)
        with pytest.raises(ValueError, match=text):
            load(path)
