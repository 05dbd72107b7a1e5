"""HTML for notebooks: a result's facts as a table, and the loss of each epoch as a drawing."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, MARGIN = 420, 130, 14
MOST_POINTS = 400
"""The largest number of points in a drawing."""


def table(title: str, headline: str, facts: dict[str, str], drawing: str = "") -> str:
    """The facts as an HTML table, in the colours of the page (light or dark)."""
    rows = "".join(
        f'<tr><th style="text-align: left">{escape(name)}</th><td style="text-align: left">{escape(fact)}</td></tr>'
        for name, fact in facts.items()
    )
    return f"<div><div><strong>{escape(title)}</strong>: {escape(headline)}</div><table>{rows}</table>{drawing}</div>"


def curve(name: str, values: NDArray[np.float64]) -> str:
    """Values, one per epoch, as a line in SVG; an empty string if fewer than two of them are finite."""
    epochs = np.unique(np.linspace(0, max(len(values) - 1, 0), min(len(values), MOST_POINTS)).astype(np.int64))
    epochs = epochs[np.isfinite(values[epochs])]
    if len(epochs) < 2:
        return ""
    shown = values[epochs]
    low, high = float(shown.min()), float(shown.max())
    across = MARGIN + (WIDTH - 2 * MARGIN) * (epochs / (len(values) - 1))
    down = 2 * MARGIN + (HEIGHT - 4 * MARGIN) * ((high - shown) / (high - low) if high > low else 0.5 + 0 * shown)
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(across, down, strict=True))
    said = escape(
        f"{name} after each of {len(values)} epochs: from {values[epochs[0]]:.6g} to {values[epochs[-1]]:.6g}"
    )

    def text(x: float, y: float, anchor: str, words: str) -> str:
        return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'

    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'role="img" fill="currentColor" font-size="11" font-family="sans-serif"><title>{said}</title>'
        f'<path d="M{MARGIN} {2 * MARGIN}V{HEIGHT - 2 * MARGIN}H{WIDTH - MARGIN}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.4"/>'
        f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        + text(MARGIN, 1.3 * MARGIN, "start", f"{name}, {low:.4g} to {high:.4g}")
        + text(MARGIN, HEIGHT - 0.8 * MARGIN, "start", "epoch 1")
        + text(WIDTH - MARGIN, HEIGHT - 0.8 * MARGIN, "end", f"epoch {len(values)}")
        + "</svg>"
    )
