"""The page of a descent: one HTML file in which each update can be looked at, with the numbers of the core."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import tempfile
import webbrowser
from collections.abc import Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from gradstep._arrays import Features
from gradstep._descent import Descent
from gradstep._docs import suggests_names
from gradstep._options import flag, kind
from gradstep._page._contents import contents


@suggests_names
def show(
    descent: Descent,
    X: Features,
    y: ArrayLike,
    *,
    columns: Sequence[int] | None = None,
    names: Sequence[object] | None = None,
    labels: Sequence[object] = ("0", "1"),
    title: str = "",
    file: str | os.PathLike[str] | None = None,
    open_browser: bool = True,
) -> Path:
    """Write a page that shows a descent update by update, and open it in the browser.

    The page has the points, each as large as its |y - ŷ|, and the line between the labels; the error over two weights
    with the path; the error after each epoch; the sigmoid with each point on it; and the formulas with the numbers of
    the update. The learning rate can be changed, and the sigmoid can be exchanged for the perceptron's step. The page
    is one HTML file that needs neither a network nor gradstep.

    Parameters
    ----------
    descent : Descent
        The descent that the page begins with.
    X : features, shape (m, n)
    y : array_like, shape (m,)
        The data that the descent was fitted to.
    columns : two int, optional
        The columns to draw, with all others at their means; by default the two that change the scores most.
    names : list of str, optional
        A name per column of `X`; by default the names in a data frame.
    labels : two str, default ("0", "1")
        Names for the labels 0 and 1.
    title : str, default ""
        What the page is about.
    file : path, optional
        Where to write the page; by default a new file among the temporary ones.
    open_browser : bool, default True

    Returns
    -------
    pathlib.Path
        Where the page is.

    Raises
    ------
    TypeError
        If an argument is of another kind.
    ValueError
        If `X` and `y` are not what the descent was fitted to, or it was fitted with sample weights or offsets; if its
        learning rate is "auto"; if it has l1, no bias or more than two classes; or if it is too long for a page.
    OSError
        If the file cannot be written.

    Notes
    -----
    The descent is run again from its start, with up to 25 learning rates and both activations; on large data with fewer
    of them, so that this takes a few seconds. The page holds the weights and the bias at the end of each epoch, to the
    bit. From these it computes the updates within an epoch itself, in float64. Where its rounding errors would grow, it
    also holds the weights and the bias after some updates within the epoch. Of more than 2000 rows (with many columns,
    of fewer) the page shows a sample, which is always the same. A page with a sample shows no updates within an epoch;
    nor does a page for which the order of shuffled rows would be too long.

    Examples
    --------
    >>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
    >>> descent = gradstep.Trainer(0.5, epochs=20, batch_size=1).fit(X, y)
    >>> page = gradstep.show(descent, X, y, open_browser=False)
    >>> page.read_text(encoding="utf-8").partition(">")[0]
    '<!doctype html'
    >>> page.unlink()
    """
    if not isinstance(descent, Descent):
        raise TypeError(f"descent must be a Descent, got {kind(descent)}")
    opens = flag("open_browser", open_browser)
    with np.errstate(all="ignore"):  # a descent accepts numbers whose squares overflow
        held = contents(descent, X, y, columns, names, labels, title)
    text = _page(held, title)
    if file is None:
        number, file = tempfile.mkstemp(suffix=".html", prefix="gradstep-")
        os.close(number)
    path = Path(file).resolve()
    path.write_text(text, encoding="utf-8")
    if opens:
        webbrowser.open(path.as_uri())
    return path


def _page(held: dict[str, object], title: str) -> str:
    """The template with its parts filled in. Its content security policy allows only this script and this style."""
    folder = files("gradstep._page")
    template, style, script = (
        folder.joinpath(f"page.{suffix}").read_text(encoding="utf-8") for suffix in ("html", "css", "js")
    )
    parts = {
        "title": escape(f": {title}" if title else ""),
        "style": style,
        "style_hash": _hash(style),
        "script": script,
        "script_hash": _hash(script),
        # "<" is escaped, so that no text in the data can end the HTML element that holds them.
        "data": json.dumps(held, allow_nan=False).replace("<", "\\u003c"),
    }
    return re.sub(r"\{\{(\w+)\}\}", lambda place: parts[place[1]], template)


def _hash(text: str) -> str:
    """The hash by which the content security policy allows a script or a style."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
