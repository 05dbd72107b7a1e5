"""A report as HTML: a fragment for notebooks, and a page of its own without any script."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from gradstep._report._sections import MOST_CLASSES, sections

if TYPE_CHECKING:
    from gradstep._evaluation import Array
    from gradstep._report import Report

SIDE, MARGIN = 300, 44
"""The width and height of a drawing, and the margin for the numbers beside it, in the units of the drawing."""
MOST_POINTS = 400
DASHES = {"solid": "", "dashed": "7 3", "dotted": "2 3", "dash-dotted": "9 3 2 3"}
"""How the curves of several classes are told apart, with or without colours."""


def page(report: Report) -> str:
    """The report as an HTML page. By its content security policy, only its own style applies, and nothing is loaded."""
    style = files("gradstep._report").joinpath("report.css").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    title = escape(report.title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; base-uri 'none'; "
        f"form-action 'none'; style-src 'sha256-{digest}'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{title}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f"<header><h1>{title}</h1></header>\n<main>\n{_body(report)}</main>\n"
        f"<footer><p>gradstep {escape(report.model.gradstep)}</p></footer>\n</body>\n</html>\n"
    )


def fragment(report: Report) -> str:
    """The report as part of another page, in the colours of that page."""
    title = escape(report.title)
    return f"<div><div><strong>{title}</strong></div>{_body(report)}</div>"


def _body(report: Report) -> str:
    parts = [_section(*section) for section in sections(report)]
    if drawings := _drawings(report):
        parts.insert(3, f'<section>\n<h2>Curves</h2>\n<div class="drawings">{drawings}</div>\n</section>\n')
    if report.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
        parts.append(f"<section>\n<h2>Notes</h2>\n<ul>{notes}</ul>\n</section>\n")
    return "".join(parts)


def _section(title: str, said: str, header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    # A table that is wider than the page scrolls in a region of its own, also by the keyboard.
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in header)
    lines = [f"<thead><tr>{head}</tr></thead>\n<tbody>"] if header else ["<tbody>"]
    for name, *cells in rows:
        lines.append(
            f'<tr><th scope="row">{escape(name)}</th>{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        )
    kind = "numbers" if header else "facts"
    return (
        f"<section>\n<h2>{escape(title)}</h2>\n"
        + (f"<p>{escape(said)}</p>\n" if said else "")
        + f'<div class="wide" role="region" tabindex="0" aria-label="{escape(title)}"><table class="{kind}">\n'
        + "\n".join(lines)
        + "\n</tbody></table></div>\n</section>\n"
    )


def _drawings(report: Report) -> str:
    found, shown = report.evaluation, ""
    curves = list(zip(map(str, report.curve_classes), found.roc, strict=True))[:MOST_CLASSES]
    if curves:
        styles = [list(DASHES)[k % len(DASHES)] for k in range(len(curves))]
        lines = "".join(
            _line(_thin(curve.false), _thin(curve.true), DASHES[style])
            for style, (_, curve) in zip(styles, curves, strict=True)
        )
        areas = ", ".join(
            f"{name}{f' ({style})' if len(curves) > 1 else ''} {curve.area:.4f}"
            for style, (name, curve) in zip(styles, curves, strict=True)
        )
        said = f"ROC curve, with the area below it: {areas}"
        shown += _drawing(said, "false positive rate", "true positive rate", lines)
    if found.calibration is not None:
        _, predicted, observed = found.calibration
        points = "".join(
            f'<circle cx="{_across(p):.1f}" cy="{_down(seen):.1f}" r="3.5" fill="currentColor"/>'
            for p, seen in zip(predicted, observed, strict=True)
        )
        said = "Calibration: how often the label is so, by the mean predicted probability"
        shown += _drawing(said, "predicted", "observed", _line(predicted, observed) + points)
    return shown


def _drawing(said: str, across: str, up: str, lines: str) -> str:
    """A square with axes from 0 to 1 and the diagonal."""
    low, high = _across(0.0), _across(1.0)
    ticks = "".join(
        f'<text x="{_across(value):.0f}" y="{SIDE - MARGIN + 16}" text-anchor="middle">{value:g}</text>'
        f'<text x="{low - 6:.0f}" y="{_down(value) + 4:.0f}" text-anchor="end">{value:g}</text>'
        for value in (0.0, 0.5, 1.0)
    )
    middle, bottom = (low + high) / 2, SIDE - 8
    return (
        f'<figure><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIDE} {SIDE}" width="{SIDE}" height="{SIDE}" '
        f'role="img" fill="currentColor" font-size="12" font-family="sans-serif"><title>{escape(said)}</title>'
        f'<path d="M{low:.0f} {_down(1.0):.0f}V{_down(0.0):.0f}H{high:.0f}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.6"/>'
        f'<path d="M{low:.0f} {_down(0.0):.0f}L{high:.0f} {_down(1.0):.0f}" fill="none" stroke="currentColor" '
        'stroke-opacity="0.5" stroke-dasharray="1 4"/>'
        f'{ticks}<text x="{middle:.0f}" y="{bottom}" text-anchor="middle">{escape(across)}</text>'
        f'<text transform="translate(13 {middle - 20:.0f}) rotate(-90)" text-anchor="middle">{escape(up)}</text>'
        f"{lines}</svg><figcaption>{escape(said)}</figcaption></figure>"
    )


def _line(across: Sequence[float] | Array, up: Sequence[float] | Array, dashes: str = "") -> str:
    points = " ".join(f"{_across(x):.1f},{_down(y):.1f}" for x, y in zip(across, up, strict=True))
    dashed = f' stroke-dasharray="{dashes}"' if dashes else ""
    return f'<polyline points="{points}" fill="none" stroke="currentColor" stroke-width="1.8"{dashed}/>'


def _thin(rates: Array) -> Array:
    chosen = np.unique(np.linspace(0, len(rates) - 1, min(len(rates), MOST_POINTS)).astype(np.intp))
    return rates[chosen]


def _across(value: float) -> float:
    return MARGIN + (SIDE - MARGIN - 12) * float(value)


def _down(value: float) -> float:
    return SIDE - MARGIN - (SIDE - MARGIN - 12) * float(value)
