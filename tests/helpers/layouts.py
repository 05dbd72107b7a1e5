"""Every way to hold one array: layouts of memory, strides of zero, other types."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]


def layouts(X: Array, folder: Path) -> Iterator[tuple[str, Array]]:
    """The same values in every layout of memory that NumPy can describe; `X` is C-contiguous, (m, n)."""
    m, n = X.shape
    yield "C", X
    yield "Fortran", np.asfortranarray(X)
    yield "transposed", np.ascontiguousarray(X.T).T

    wide = np.full((2 * m, 3 * n + 1), np.nan, X.dtype)
    wide[::2, 1::3] = X
    yield "strided in both axes", wide[::2, 1::3]

    columns = np.full((m, n + 3), np.nan, X.dtype)
    columns[:, 2:-1] = X
    yield "columns of a wider array", columns[:, 2:-1]

    yield "rows reversed", np.ascontiguousarray(X[::-1])[::-1]
    yield "columns reversed", np.ascontiguousarray(X[:, ::-1])[:, ::-1]
    yield "both reversed, Fortran", np.asfortranarray(X[::-1, ::-1])[::-1, ::-1]

    frozen = X.copy()
    frozen.flags.writeable = False
    yield "read-only", frozen

    raw = np.zeros(X.nbytes + 1, np.uint8)
    misaligned = raw[1:].view(X.dtype).reshape(m, n)
    misaligned[...] = X
    yield "misaligned", misaligned

    records = np.zeros((m, n), np.dtype([("before", "i1"), ("x", X.dtype), ("after", "i2")]))
    records["x"] = X
    yield "field of a packed structured array", records["x"]

    yield "byte-swapped", X.astype(X.dtype.newbyteorder())

    mapped = np.memmap(folder / "X.bin", dtype=X.dtype, mode="w+", shape=(m, n))
    mapped[...] = X
    mapped.flush()
    yield "memory-mapped", np.memmap(folder / "X.bin", dtype=X.dtype, mode="r", shape=(m, n))

    yield "one axis more, sliced away", np.stack([X, -X], axis=2)[:, :, 0]


def repeating(X: Array) -> Iterator[tuple[str, Array]]:
    """Layouts with a stride of zero: their values repeat along an axis."""
    yield "one row, broadcast", np.broadcast_to(X[0], X.shape)
    yield "one column, broadcast", np.broadcast_to(X[:, :1], X.shape)
    yield "one number, broadcast", np.broadcast_to(X[-1, -1], X.shape)


def other_types(m: int, n: int) -> Iterator[tuple[str, Any, Array]]:
    """Arrays that are neither float32 nor float64, each with its name and the float64 array of the same numbers."""
    random = np.random.default_rng(m * 1000 + n)
    for name in ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"):
        info = np.iinfo(name)
        X = random.integers(info.min, info.max, size=(m, n), dtype=name, endpoint=True)
        X.flat[0], X.flat[-1] = info.min, info.max
        yield name, X, X.astype(np.float64)
        yield name + ", Fortran", np.asfortranarray(X), X.astype(np.float64)
        yield name + ", every second row", np.repeat(X, 2, axis=0)[::2], X.astype(np.float64)
        yield name + ", byte-swapped", X.astype(X.dtype.newbyteorder()), X.astype(np.float64)

    truth = random.integers(0, 2, size=(m, n)).astype(bool)
    yield "bool", truth, truth.astype(np.float64)
    yield "bool, Fortran", np.asfortranarray(truth), truth.astype(np.float64)
    sloppy = random.choice(np.array([0, 1, 2, 127, 255], np.uint8), size=(m, n))
    yield "bool over bytes other than 0 and 1", sloppy.view(bool), (sloppy != 0).astype(np.float64)
    yield "bool over such bytes, Fortran", np.asfortranarray(sloppy).view(bool), (sloppy != 0).astype(np.float64)

    X = random.normal(size=(m, n))
    yield "float16", X.astype(np.float16), X.astype(np.float16).astype(np.float64)
    yield "longdouble", X.astype(np.longdouble), X
    yield "list of lists", X.tolist(), X
    yield "tuple of arrays", tuple(X), X
    yield "list of lists of int", truth.astype(int).tolist(), truth.astype(np.float64)
