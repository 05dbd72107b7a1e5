"""Check that array arguments of the public functions hold real numbers. Only `X` may be sparse, as CSR or CSC.

Arrays are passed on unchanged, in any layout. Shapes and values are checked by the native functions.
"""

from __future__ import annotations

import operator
import re
import sys
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from gradstep._frames import (
    array_of,
    column_names,
    column_text,
    frame_of,
    is_of,
    is_real,
    real_numbers,
    sparse_parts,
    what_is_wrong,
)  # fmt: skip
from gradstep._options import is_masked, kind, number

Array: TypeAlias = NDArray[Any]
"""An array of float32 or float64; the type hint does not say which."""


class Compressed(Protocol):
    """A SciPy CSR or CSC array or matrix, or an object with the same attributes."""

    @property
    def format(self) -> Any: ...
    @property
    def shape(self) -> Any: ...
    @property
    def data(self) -> Any: ...
    @property
    def indices(self) -> Any: ...
    @property
    def indptr(self) -> Any: ...


_PLACE = re.compile(r"got (\S+) at row (\d+), column (\d+)$")
MOST_SHOWN = 8
"""The largest number of words or labels that a message lists."""
Features: TypeAlias = ArrayLike | Compressed
Parts: TypeAlias = tuple[bool, tuple[int, int], Array, Array, Array]
"""The parts of a CSR or CSC matrix: whether it is CSC, its shape, `data`, `indices` and `indptr`."""


def real(name: str, value: Any) -> Array:
    """An array of real numbers.

    Raises
    ------
    TypeError
        If `value` holds anything but real numbers, is masked, or is sparse.
    """
    array: Array = value if type(value) is ndarray else _as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise _not_real(name, value, array)
    return array


def optional_real(name: str, value: Any) -> Array | None:
    """An array of real numbers or None."""
    return None if value is None else real(name, value)


def features(X: Any) -> Array | Parts:
    """`X` for native code: an array, or the parts of a CSR or CSC matrix, which is never made dense.

    A pandas frame whose columns are all sparse, with the fill value 0, becomes the parts of a CSC matrix.
    """
    if type(X) is ndarray:
        return real("X", X)
    if sparse := _sparse(X):
        return _parts(X, sparse)
    if (frame := frame_of(X)) is not None:
        return sparse_parts(frame) or array_of(frame)
    return real("X", X)


def matrix(X: Any) -> Any:
    """`X` in a form from which rows can be taken by index: an array, or a CSR or CSC matrix or array of SciPy."""
    found = features(X)
    if isinstance(found, ndarray):
        return found
    if _sparse(X):
        return X
    from scipy.sparse import csc_array

    _, shape, data, indices, starts = found
    return csc_array((data, indices, starts), shape=shape)


def rows(X: Any) -> tuple[Array | Parts, bool]:
    """`X` for native code, and whether it was one row. One row, shape (n,), becomes a matrix with one row."""
    X = features(X)
    return (X[None], True) if type(X) is not tuple and X.ndim == 1 else (X, False)


def dataset(X: Any, y: Any, sample_weight: Any, offset: Any) -> tuple[Array | Parts, Array, list[Array | None]]:
    """`X`, `y`, and sample weights and offsets for native code. A single row, `X` of shape (n,), becomes a matrix with
    one row. Then `y` and the sample weight are scalars, and the offset is a scalar or one number for each class."""
    X, y = features(X), real("y", y)
    weight, offset = optional_real("sample_weight", sample_weight), optional_real("offset", offset)
    if type(X) is not tuple and X.ndim == 1:
        if y.ndim:
            got = f"shape {shape_text(X.shape)} with y of shape {shape_text(y.shape)}"
            raise ValueError(f"X must be 2-dimensional, or one row with a scalar y, got {got}")
        X, y = X[None], y[None]
        weight = weight if weight is None or weight.ndim else weight[None]
        offset = offset if offset is None or offset.ndim > 1 else offset[None]
    return X, y, [weight, offset]


def parameters(weights: Any, bias: Any) -> tuple[Array, float | Array]:
    """Weights and bias. With weights of shape (K, n), the bias may also be an array of one number per class."""
    weights = real("weights", weights)
    if type(bias) is float:
        return weights, bias
    if weights.ndim == 1:
        return weights, number("bias", bias)
    biases = real("bias", bias)
    return weights, biases if biases.ndim else number("bias", bias)


def check_out(z: Array, out: Any) -> None:
    """Raise unless the result of an elementwise function of `z` can be written to `out`."""
    if not isinstance(out, np.ndarray) or is_masked(out):
        got = "a masked array" if is_masked(out) else kind(out)
        raise TypeError(f"out must be a NumPy array, got {got}")
    if out.shape != z.shape:
        raise ValueError(f"out must have shape {shape_text(z.shape)}, got shape {shape_text(out.shape)}")
    expected = np.dtype(np.float32 if z.dtype.kind == "f" and z.dtype.itemsize == 4 else np.float64)
    if out.dtype != expected:
        raise TypeError(f"out must have dtype {expected}, got dtype {out.dtype}")
    if not out.flags.writeable:
        raise ValueError("out must be writeable, got a read-only array")


def shape_text(shape: tuple[int, ...]) -> str:
    """A shape for messages; the shape () of a scalar, which is easily overlooked, is explained."""
    return f"{shape}" if shape else "() (0-dimensional)"


def finite_matrix(frame: Any) -> Any:
    """What `matrix` returns for the frame. A ValueError names the first element that is not finite."""
    found = matrix(frame)
    values = found if isinstance(found, ndarray) else found.data
    if np.isfinite(values).all():
        return found
    wrong = ~np.isfinite(found if values is found else found.toarray())
    row, column = np.argwhere(wrong)[0].tolist()
    raise _not_finite(column_names(frame), found[row, column], row, column)


def _not_finite(names: list[Any] | None, value: float, row: int, column: int) -> ValueError:
    advice = ": fill the missing value in, or leave its row out (gradstep.train does)" if value != value else ""
    place = f"row {row}, {column_text(names, column)}"
    return ValueError(f"X must be finite, got {value:g} at {place}{advice}")


def explained(error: ValueError, X: Any, y: Array) -> ValueError:
    """The error that native code has raised, with what native code does not know: a column's name, or advice.

    An error about an element of `X` that is not finite gets the name of the column, if `X` is a frame. An error about
    labels gets advice if the labels are 1 to K, or two numbers other than 0 and 1.
    """
    message = str(error)
    if message.startswith("X must be finite") and (names := column_names(X)):
        found = _PLACE.search(message)
        return error if found is None else _not_finite(names, float(found[1]), int(found[2]), int(found[3]))
    if not message.startswith("y must be "):
        return error
    labels = np.unique(y)
    if np.isnan(labels[-1:]).any():
        return error
    one_too_many = np.array_equal(labels, np.arange(1, len(labels) + 1))
    if one_too_many and 2 <= len(labels) <= (MOST_SHOWN if "class codes" in message else 2):
        return ValueError(f"{message}: labels are {_listed(labels)}: subtract 1, or use LogisticRegression")
    if len(labels) == 2:
        return ValueError(f"{message}: labels are {_listed(labels)}: use 0 and 1 for them, or LogisticRegression")
    return error


def _as_array(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        if is_masked(value):
            raise TypeError(f"{name} must be an array of real numbers, got a masked array")
        return value
    if sparse := _sparse(value):
        raise TypeError(f"{name} must be a dense array, got {sparse}")
    if (frame := frame_of(value, name)) is not None:
        return array_of(frame, name)
    try:
        array = np.asarray(value)
        return real_numbers(array) if is_of(value, "pandas") else array
    except (TypeError, ValueError) as error:  # for example for a ragged list
        refused = TypeError if isinstance(error, TypeError) else ValueError
        why = str(error).replace("\n", " ")
        raise refused(f"{name} must be an array of real numbers, got {kind(value)} ({why})") from error


def _not_real(name: str, value: Any, array: Array) -> TypeError:
    """The error for an array that does not hold real numbers: what it holds, where, and what to do."""
    expected = f"{name} must be an array of real numbers"
    if array.dtype.kind not in "OUST":
        return TypeError(f"{expected}, got dtype {array.dtype}")
    if not array.ndim:
        return TypeError(f"{expected}, got {kind(array.item())}")
    objects = array if array.dtype == object or isinstance(value, ndarray) else np.array(value, object)
    strange = ((place, item) for place, item in np.ndenumerate(objects) if not is_real(item))
    place, wrong = next(strange, ((), None))
    if not place:
        return TypeError(f"{expected}, got dtype object: its elements are numbers, of which .astype(float) makes one")
    if name == "y" and isinstance(wrong, str | bytes):
        words = list(dict.fromkeys(str(item) for item in objects.flat))
        codes = "0 and 1" if len(words) < 3 else "codes 0, 1, 2, …"
        shown = ", ".join(map(repr, words[:MOST_SHOWN])) + (", …" if len(words) > MOST_SHOWN else "")
        return TypeError(f"{expected}, got words ({shown}): use LogisticRegression, or {codes}")
    if array.dtype != object and len(place) < 2:
        return TypeError(f"{expected}, got dtype {array.dtype}")
    where = f"column {place[1]}" if len(place) == 2 else f"index {', '.join(map(str, place))}"
    return TypeError(f"{expected}, got dtype {array.dtype}: {where} {what_is_wrong(wrong)}")


def _listed(values: Array) -> str:
    """The values as "1, 2 and 3"."""
    *most, last = (f"{value:g}" for value in values.tolist())
    return f"{', '.join(most)} and {last}"


def _sparse(value: object) -> str | None:
    """The name of the value's type if it is a sparse container of SciPy, else None. SciPy need not be installed."""
    return f"scipy.sparse {kind(value)}" if is_of(value, "scipy.sparse") else None


def _parts(X: Any, name: str) -> Parts:
    if X.format not in ("csr", "csc"):
        raise TypeError(
            f"X must be a dense array, or a SciPy CSR or CSC array or matrix, got {name}: convert it with .tocsr()"
        )
    try:
        shape = tuple(map(operator.index, X.shape))
    except TypeError:
        shape = (-1,)
    if not all(0 <= length <= sys.maxsize for length in shape):
        raise ValueError(f"X.shape must be two integers from 0 on, got {X.shape}")
    if len(shape) != 2:
        raise ValueError(f"X must be 2-dimensional, got shape {shape_text(shape)}")
    data = real("X.data", X.data)
    return X.format == "csc", shape, data, _integers("X.indices", X.indices), _integers("X.indptr", X.indptr)


def _integers(name: str, value: Any) -> Array:
    array = real(name, value)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers, got dtype {array.dtype}")
    return array
