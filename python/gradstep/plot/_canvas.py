"""Helpers for all pictures: Axes, colours, names as matplotlib must get them, and checks of options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gradstep import _options
from gradstep._arrays import Array
from gradstep._options import count, kind, number

# Colours that can be told apart with any colour vision: those of Okabe and Ito, "Color Universal Design", 2008, without
# yellow, which is too pale on white, and black, which is used for emphasis. Markers and line styles differ too, for
# print without colours.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = ("o", "^", "s", "D", "v", "P")
STYLES = ("-", "--", "-.", ":")
STRONG = "black"
FAINT = "0.6"

E_LABEL = "mean cross-entropy E (nats)"
WEIGHT_LABEL = "weight (nats per unit of the feature)"

MANY = 5000
"""With at least this many points, they are drawn as an image within a PDF or SVG file."""


def axes(ax: Axes | None, height: float | None = None) -> Axes:
    """`ax`, or if it is None the Axes of a new figure; `height` is that of the figure in inches."""
    if ax is None:
        from matplotlib import pyplot

        figure, new = pyplot.subplots(layout="constrained")
        if height is not None:
            figure.set_figheight(height)
        return new
    if not isinstance(ax, Axes):
        raise TypeError(f"ax must be an Axes of matplotlib or None, got {kind(ax)}")
    return ax


def pair(axes: Sequence[Axes] | None, height: float = 4.2) -> NDArray[Any]:
    """Two Axes, shape (2,): those given, or two side by side in a new figure of this height in inches."""
    if axes is None:
        from matplotlib import pyplot

        _, new = pyplot.subplots(1, 2, figsize=(11.0, height), layout="constrained")
        return np.asarray(new)
    given = np.asarray(axes, object)
    if given.shape != (2,) or not all(isinstance(ax, Axes) for ax in given):
        raise TypeError(f"axes must be two Axes of matplotlib or None, got {kind(axes)} of shape {given.shape}")
    return given


def text(name: object) -> str:
    """A name changed such that matplotlib draws it literally: $ would start a formula, and _ hide it from a legend."""
    plain = str(name).replace("$", r"\$")
    return f" {plain}" if plain.startswith("_") else plain


def texts(argument: str, names: Sequence[object], length: int, each: str) -> list[str]:
    """The names as they are drawn, after a check that there are `length` of them."""
    return [text(name) for name in _options.names(argument, names, length, each)]


def interval(argument: str, limits: Any) -> tuple[float, float]:
    """Two finite numbers, the smaller one first: the limits of an axis."""
    try:
        low, high = limits
    except (TypeError, ValueError):
        raise TypeError(f"{argument} must be two real numbers, got {limits!r}") from None
    low, high = number(argument, low), number(argument, high)
    if not -np.inf < low < high < np.inf:
        raise ValueError(f"{argument} must be finite and the first the smaller one, got {low:g} and {high:g}")
    return low, high


def resolution(value: Any) -> int:
    """The number of grid points along either axis, at least 2."""
    places = count("grid_resolution", value)
    if places < 2:
        raise ValueError(f"grid_resolution must be at least 2, got {places}")
    return places


def curve_style(number: int) -> dict[str, Any]:
    """Colour and line style of a curve, by its number in the picture, counted from 0."""
    return {"color": COLOURS[number % len(COLOURS)], "linestyle": STYLES[number % len(STYLES)]}


def scatter(ax: Axes, points: Array, codes: NDArray[np.intp], labels: Sequence[str]) -> None:
    """Draw points, shape (m, 2); each class has a colour and a marker of its own."""
    size, alpha = (30, 1.0) if len(points) < 300 else (16, 0.8) if len(points) < MANY else (8, 0.4)
    for code, label in enumerate(labels):
        across, up = points[codes == code].T
        ax.scatter(
            across,
            up,
            s=size,
            c=COLOURS[code % len(COLOURS)],
            marker=MARKERS[code % len(MARKERS)],
            edgecolors="white",
            linewidths=0.5 if len(points) < 300 else 0.2,
            alpha=alpha,
            label=label,
            zorder=2.5,
            rasterized=len(points) >= MANY,
        )
