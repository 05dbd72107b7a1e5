"""Files that commands write: checks of their names before any work is done, and pictures as the bytes of a file."""

from __future__ import annotations

import errno
import io
import os
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from gradstep import _files
from gradstep._report import Report
from gradstep._training import Trained

PICTURES = (".png", ".svg", ".pdf")


def check_picture(picture: Path | None, *others: Path) -> None:
    """Refuse a picture that cannot be drawn or written, before any work is done."""
    if picture is None:
        return
    if picture.suffix.lower() not in PICTURES:
        raise click.BadParameter(f"must end in {', '.join(PICTURES)}.", param_hint="'--plot'")
    try:
        import_module("gradstep.plot")
    except ImportError as error:
        raise click.UsageError(f"--plot: {error}") from None
    check_out(picture, *others, option="--plot")


def picture_of_training(trained: Trained[Any], suffix: str) -> bytes:
    """The picture of a fit, as the contents of a file."""
    return _drawn(
        lambda plot: plot.training(trained.result, trained.X, trained.problem.y, trained.problem.features), suffix
    )


def picture_of_report(report: Report, suffix: str) -> bytes:
    """The ROC curve and the calibration of a report, as the contents of a file."""
    return _drawn(lambda plot: plot.evaluation(report), suffix)


def _drawn(draw: Callable[[Any], Any], suffix: str) -> bytes:
    import matplotlib as mpl

    from gradstep import plot

    mpl.use("Agg")  # this backend draws into files, and needs no display
    buffer = io.BytesIO()
    with warnings.catch_warnings(action="ignore"):  # warnings about letters that the font lacks
        draw(plot)[0].figure.savefig(buffer, format=suffix.removeprefix("."), dpi=160)
    return buffer.getvalue()


def check_suffix(out: Path | None, option: str, *suffixes: str) -> None:
    """Refuse a file whose name has none of the suffixes; by default, the suffixes of CSV and Parquet."""
    allowed = suffixes or (".csv", *_files.PARQUET_SUFFIXES)
    if out and out.suffix.lower() not in allowed:
        words = " or ".join(suffixes or (".csv", ".parquet"))
        raise click.BadParameter(f"must end in {words}.", param_hint=f"'{option}'")


def check_out(out: Path | None, *inputs: Path, option: str = "--out") -> None:
    """Refuse an output file that is an input, or cannot be written, before any work is done."""
    if out is None:
        return
    if any(_is_same(out, path) for path in inputs):
        raise click.BadParameter("is one of the files to read or write.", param_hint=f"'{option}'")
    if out.exists() and not out.is_file():
        raise ValueError(f"{out}: must be a regular file")
    folder = Path(os.path.realpath(out)).parent
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "no such folder", str(folder))
    for path in (folder, out):
        if path.exists() and not os.access(path, os.W_OK):  # a file that may not be written may not be replaced either
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))


def _is_same(one: Path, other: Path) -> bool:
    """Whether two paths lead to the same file. The file need not exist yet."""
    if one.exists() and other.exists():
        return one.samefile(other)
    return os.path.realpath(one) == os.path.realpath(other)
