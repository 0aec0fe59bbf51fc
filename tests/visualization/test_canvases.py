"""Animations of canvases, read back by Pillow frame by frame."""

from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image, ImageSequence

from keras_genimg.visualization import attention_box, image_grid, save_canvases
from tests.visualization.pictures import images_of

RED = (255, 0, 0)
PADDING, GAP = 2, 24


class Box(NamedTuple):
    """Rows and columns of an animation that a box covers."""

    left: int
    top: int
    right: int
    bottom: int


def attention_of(images, glimpses, x=0, y=0, stride=1, sigma=0, gamma=1):
    attention = np.zeros((images, glimpses, 5), "float32")
    attention[...] = x, y, stride, sigma, gamma
    return attention


@pytest.fixture
def saved(tmp_path):
    """Return a function that saves an animation; it returns RGB frames, and ms."""

    def save_and_read(*arguments, **options):
        path = tmp_path / "draw.gif"
        save_canvases(str(path), *arguments, **options)
        assert list(tmp_path.iterdir()) == [path]
        with Image.open(path) as gif:
            assert gif.format == "GIF" and gif.info["loop"] == 0
            pages = ImageSequence.all_frames(gif)
        frames = np.stack([page.convert("RGB") for page in pages])
        return frames, [page.info["duration"] for page in pages]

    return save_and_read


def grid_of(images, columns=None, scale=1):
    grid = image_grid(images, columns, PADDING, scale)
    return grid if grid.ndim == 3 else np.stack([grid] * 3, axis=-1)


def red_of(frame):
    return (frame == RED).all(axis=-1)


def outline(shape, box, line=1):
    """Return the mask of the lines of a box, which grow inwards, by hand."""
    left, top, right, bottom = box
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    mask[top + line : bottom - line, left + line : right - line] = False
    return mask


@pytest.mark.parametrize("glimpses", [1, 4])
def test_grays_are_exact_and_the_last_frame_is_held(saved, tmp_path, glimpses):
    # All 256 grays occur in each frame.
    canvases = images_of(5, glimpses, 9, 8, 1)
    canvases[0, :, :8].flat = np.tile(np.arange(64), glimpses)
    (tmp_path / "draw.gif").write_text("an older file")
    frames, durations = saved(canvases, columns=3, scale=2)
    assert durations == [100] * (glimpses - 1) + [1500]
    for step, frame in enumerate(frames):
        np.testing.assert_array_equal(frame, grid_of(canvases[:, step], 3, 2))


def test_durations(saved):
    """They are rounded to what the file keeps; equal frames are shown for as long."""
    canvases = images_of(2, 5, 4, 4, 1)
    options = {"seconds_per_frame": 0.29, "hold_seconds": np.float32(2)}
    assert saved(canvases, **options)[1] == [290] * 4 + [2000]
    canvases[:, 1:3] = canvases[:, :1]
    assert saved(canvases)[1] == [300, 100, 1500]
    frames, durations = saved(canvases[:, :3])
    assert durations == [1700]
    np.testing.assert_array_equal(frames[0], grid_of(canvases[:, 0], scale=4))


@pytest.mark.parametrize("center", [0.5, 1.5, 2.5, 1.49])
def test_box_between_pixels_is_a_pixel_wide(saved, center):
    attention = attention_of(1, 1, x=center, y=center)
    (frame,), _ = saved(images_of(1, 1, 5, 5, 1), attention, 1, scale=1)
    assert red_of(frame).sum() == 1


@pytest.mark.parametrize(
    "sigma, stride, line",
    [
        (0, 10, 1),
        (1.5, 10, 6),
        # A sixteenth of the image: 2 of 32 pixels.
        (1e9, 10, 16),
        # A quarter of the box, which is three pixels.
        (7, 1, 6),
    ],
)
def test_line_grows_with_sigma(saved, sigma, stride, line):
    attention = attention_of(1, 1, x=15, y=16, stride=stride, sigma=sigma)
    (frame,), _ = saved(images_of(1, 1, 32, 40, 1), attention, 3, scale=8)
    left, top = 8 * (15 - stride), 8 * (16 - stride)
    right, bottom = 8 * (16 + stride), 8 * (17 + stride)
    expected = outline((256, 320), Box(left, top, right, bottom), line)
    np.testing.assert_array_equal(red_of(frame), expected)


def test_boxes_stay_in_their_cells(saved):
    nothing, whole = Box(0, 0, 0, 0), Box(0, 0, 10, 12)
    cases = [
        ({"x": 2, "y": 2}, Box(2, 2, 8, 8)),
        ({"x": 4, "y": 5}, Box(6, 8, 10, 12)),  # Beyond the lower right corner.
        ({"x": -0.5, "y": 2}, Box(0, 2, 3, 8)),  # Beyond the left edge.
        ({"x": -2, "y": 2}, nothing),  # Just left of the image.
        ({"x": 2, "y": 1e9}, nothing),
        ({"x": -1e9, "y": -1e9}, nothing),
        ({"x": 2, "y": 2, "stride": 1e9}, whole),
        # Its left edge passes through the image's, its lower one too.
        ({"x": 1e9, "y": -1e9, "stride": 1e9, "sigma": 1e9}, Box(0, 0, 10, 2)),
        ({"x": 2, "y": 2, "stride": 1e9, "sigma": 1e9}, whole),
    ]
    canvases = images_of(9, 1, 6, 5, 1, high=200)
    attention = np.concatenate([attention_of(1, 1, **case) for case, _ in cases])
    (frame,), _ = saved(canvases, attention, write_size=3, columns=9, scale=2)
    red = red_of(frame)
    for index, (_, box) in enumerate(cases):
        x = index * (10 + PADDING)
        expected = outline((12, 10), box)
        np.testing.assert_array_equal(red[:, x : x + 10], expected, str(index))
        assert (frame[:, x + 10 : x + 10 + PADDING] == 255).all()
        plain = canvases[index, 0].repeat(2, axis=0).repeat(2, axis=1).repeat(3, -1)
        cell = frame[:, x : x + 10]
        np.testing.assert_array_equal(cell[~expected], plain[~expected])


@pytest.mark.parametrize("colors", [1, 3])
def test_images_are_read_to_the_left(saved, colors):
    # Few enough colors for any palette.
    canvases = images_of(3, 2, 4, 6, colors, high=4) * 80
    images = images_of(3, 4, 6, colors, high=3) * 70 + 5
    write = attention_of(3, 2, x=1, y=1)
    read = attention_of(3, 2, x=4, y=2)
    read[:, 1, 0] = 3
    frames, _ = saved(canvases, write, 1, images, read, 1, columns=2, scale=4)
    for step, frame in enumerate(frames):
        left, right = grid_of(images, 2, 4), grid_of(canvases[:, step], 2, 4)
        gap = np.full((len(left), GAP, 3), 255, "uint8")
        plain = np.hstack([left, gap, right])
        expected = np.zeros(plain.shape[:2], bool)
        boxes = [(0, (4 - step, 2)), (left.shape[1] + GAP, (1, 1))]
        for x, (column, row) in boxes:
            for index in range(3):
                left = x + index % 2 * (24 + PADDING) + 4 * column
                top = index // 2 * (16 + PADDING) + 4 * row
                expected |= outline(expected.shape, (left, top, left + 4, top + 4))
        np.testing.assert_array_equal(red_of(frame), expected)
        np.testing.assert_array_equal(frame[~expected], plain[~expected])


def test_red_takes_the_place_of_the_rarest_gray(saved):
    canvases = np.arange(512, dtype="uint8").reshape(1, 2, 16, 16, 1)
    canvases[0, 0, 15, 14] = 9  # 254 is now the rarest.
    attention = attention_of(1, 2, x=100, y=3)
    attention[0, 1] = 0, 0, 0, 0, 1
    frames, _ = saved(canvases, attention, write_size=2, scale=1)
    expected = canvases[0].repeat(3, axis=-1)
    expected[1, 15, 14] = 253
    expected[1, 0, 0] = RED
    np.testing.assert_array_equal(frames, expected)


def test_many_colors_come_close_and_red_is_exact(saved):
    ramp = np.linspace(0, 255, 32).astype("uint8")
    image = np.stack(np.broadcast_arrays(ramp, ramp[:, None], 128), axis=-1)
    canvases = np.stack([image, image[::-1]])[None].astype("uint8")
    attention = attention_of(1, 2, x=10, y=10, stride=4)
    frames, _ = saved(canvases, attention, write_size=2, scale=2)
    for step, frame in enumerate(frames):
        red = red_of(frame)
        assert red.sum() == 4 * 9
        difference = frame.astype(int) - grid_of(canvases[:, step], scale=2)
        assert abs(difference[~red]).max() < 24
        assert abs(difference[~red]).mean() < 6


def test_boxes_by_hand():
    # (center_x, center_y, stride, sigma, gamma)
    attention = [[3, 5, 2, 1, 1], [3, 5, 0, 1, 1], [-1.5, 0, 0.5, 7, 9]]
    # Centers at x = 1, 3, 5 and y = 3, 5, 7; the pixels are half a pixel wider.
    expected = [[1, 3, 6, 8], [3, 5, 4, 6], [-2, -0.5, 0, 1.5]]
    np.testing.assert_array_equal(attention_box(attention, 3), expected)
    # An even number has no filter at the center; one filter has no stride.
    np.testing.assert_array_equal(attention_box(attention[0], 4), [0, 2, 7, 9])
    np.testing.assert_array_equal(attention_box(attention[0], 1), [3, 5, 4, 6])
