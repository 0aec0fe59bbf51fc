"""Plots of the KL divergence per glimpse."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from keras_genimg.extras import optional
from keras_genimg.files import atomic_path
from keras_genimg.types import PathLike
from keras_genimg.visualization.grid import check_suffix

_PERCENTILES = (10, 90)


def save_kl_per_step(path: PathLike, kl: ArrayLike | dict[str, Any]) -> None:
    """Plot the KL divergence of each glimpse's latents as a PNG file.

    Lines are means over images, and bands range from the 10th to the 90th percentile.
    The legend shows the sum over glimpses, averaged over images. The file is written
    atomically and replaces an existing one.

    Args:
        path: Path of the file, ending in `.png`.
        kl: KL divergences of the posterior from the prior, in nats, of shape `(images,
            glimpses)`. To compare models, a dict of such arrays by label. Their numbers
            of images and glimpses may differ.

    Raises:
        ImportError: If matplotlib is not installed.
        ValueError: If an argument is invalid.

    Example:
        >>> kl = np.random.default_rng(0).gamma(2.0, size=(100, 64))
        >>> save_kl_per_step("kl.png", {"DRAW": kl, "half of it": kl / 2})

    References:
        Gregor et al., DRAW: A Recurrent Neural Network For Image Generation, 2015,
        equations 10 and 11, https://arxiv.org/abs/1502.04623
    """
    path = check_suffix(path, ".png")
    if isinstance(kl, dict):
        if not kl:
            raise ValueError("`kl` must have at least one entry. Received: kl={}")
        curves = {
            f"{label}: ": _checked_kl(values, f"`kl` of {label!r}")
            for label, values in kl.items()
        }
    else:
        curves = {"": _checked_kl(kl, "`kl`")}
    with optional("`save_kl_per_step` needs matplotlib", "examples"):
        from matplotlib.figure import Figure
        from matplotlib.ticker import MaxNLocator

    # Without pyplot, which keeps global state and may need a display.
    figure = Figure(figsize=(6.4, 4), dpi=150, facecolor="white", layout="constrained")
    axes = figure.add_subplot()
    lines = []
    for values in curves.values():
        glimpses = np.arange(1, values.shape[1] + 1)
        lines += axes.plot(glimpses, values.mean(axis=0), marker=".")
        low, high = np.percentile(values, _PERCENTILES, axis=0)
        axes.fill_between(
            glimpses, low, high, color=lines[-1].get_color(), alpha=0.2, linewidth=0
        )
    axes.set_xlabel("glimpse")
    axes.set_ylabel("KL, nats")
    axes.set_xlim(0.5, max(values.shape[1] for values in curves.values()) + 0.5)
    if axes.dataLim.y0 >= 0:  # An estimate from samples can be negative.
        axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    # As plain text: labels may begin with an underscore or contain a dollar sign.
    legend = axes.legend(lines, ["-"] * len(lines), frameon=False)
    for text, (label, values) in zip(legend.get_texts(), curves.items(), strict=True):
        text.set_parse_math(False)
        text.set_text(f"{label}total {values.sum(axis=1).mean():.1f} nats")
    with atomic_path(path) as unfinished:
        figure.savefig(unfinished, format="png")


def _checked_kl(kl, name):
    kl = np.asarray(kl)
    if kl.ndim != 2 or kl.size == 0 or kl.dtype.kind not in "iuf":
        raise ValueError(
            f"{name} must be numbers (images, glimpses), with at least one of each. "
            f"Received: shape={kl.shape}, dtype={kl.dtype}"
        )
    kl = kl.astype("float64")
    if not np.isfinite(kl).all():
        odd = kl[~np.isfinite(kl)]
        raise ValueError(f"{name} must be finite. Received: {odd[0]}")
    return kl
