"""Pictures of dependency fields."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from keras_genimg.causality.pixel_influence import check_pixel
from keras_genimg.types import PathLike
from keras_genimg.visualization.comparison import save_comparison
from keras_genimg.visualization.grid import image_grid

_SEEN = (86, 142, 201)
_UNSEEN = (230, 230, 230)
_PIXEL = (226, 88, 54)


def save_dependency_fields(
    path: PathLike, fields: dict[str, Any], pixel: Sequence[int], scale: int = 16
) -> None:
    """Draw dependency fields side by side, with titles, as a PNG file.

    The pixel itself is red, pixels that influence it are blue, others light gray. The
    file is written atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`.
        fields: Dict of boolean arrays `(height, width)` by title, from left to right.
            Their sizes may differ.
        pixel: `(row, column)` of the output that the fields belong to.
        scale: Pixels of the file per pixel of a field, along each axis.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> inputs = keras.Input((9, 13, 1))
        >>> layers = {"Row LSTM": RowLSTM(8), "Diagonal BiLSTM": DiagonalBiLSTM(8)}
        >>> fields = {
        ...     title: dependency_field(keras.Model(inputs, layer(inputs)), (5, 6))
        ...     for title, layer in layers.items()
        ... }
        >>> save_dependency_fields("fields.png", fields, pixel=(5, 6))

    References:
        van den Oord, Kalchbrenner and Kavukcuoglu, Pixel Recurrent Neural Networks,
        2016, figure 2, https://arxiv.org/abs/1601.06759
    """
    if not isinstance(fields, dict) or not fields:
        raise ValueError(
            f"`fields` must be a dict of fields by title, with at least one entry. "
            f"Received: fields={fields!r}"
        )
    panels = {}
    for title, field in fields.items():
        field = np.asarray(field)
        if field.ndim != 2 or field.dtype != bool:
            raise ValueError(
                f"Field {title!r} must be a boolean array (height, width). Received: "
                f"shape={field.shape}, dtype={field.dtype}"
            )
        check_pixel(pixel, field.shape)
        cells = np.where(field[..., None], _SEEN, _UNSEEN).astype("uint8")
        cells[tuple(pixel)] = _PIXEL
        cells = cells.reshape(-1, 1, 1, 3)
        panels[title] = image_grid(cells, columns=field.shape[1], scale=scale)[None]
    save_comparison(path, panels, scale=1)
