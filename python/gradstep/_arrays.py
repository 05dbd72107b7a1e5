"""Arrays that the public functions are given, checked for their kind: real numbers, dense or, for `X`, CSR or CSC.

Arrays are passed on as they are, in any layout. Shapes and values are checked by the native functions.
"""

from __future__ import annotations

import operator
import sys
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy import ndarray
from numpy.typing import ArrayLike, NDArray

from gradstep._options import is_masked, kind, number

Array: TypeAlias = NDArray[Any]
"""float32 or float64, as `X` is; types do not tell which."""


class Compressed(Protocol):
    """SciPy's CSR or CSC, array or matrix, or an object with the same attributes."""

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


MOST_SHOWN = 8
MOST_LETTERS = 40
"""What a message shows of words and labels, and of a text."""
REAL_OBJECTS = (int, float, np.bool_, np.integer, np.floating)
"""Types of the real numbers that an array of objects may hold."""
Features: TypeAlias = ArrayLike | Compressed
Parts: TypeAlias = tuple[bool, tuple[int, int], Array, Array, Array]
"""Of a compressed matrix: whether it is stored by columns, its shape, `data`, `indices` and `indptr`."""


def real(name: str, value: Any) -> Array:
    """An array of real numbers.

    Raises
    ------
    TypeError
        If `value` holds something else, is masked, or is sparse.
    """
    array: Array = value if type(value) is ndarray else _as_array(name, value)
    if array.dtype.kind not in "biuf":
        raise _not_real(name, value, array)
    return array


def optional_real(name: str, value: Any) -> Array | None:
    """An array of real numbers or None."""
    return None if value is None else real(name, value)


def features(X: Any) -> Array | Parts:
    """`X` as native code takes it: an array, or the parts of a CSR or CSC matrix, which is never made dense."""
    if type(X) is not ndarray and (sparse := _sparse(X)):
        return _parts(X, sparse)
    return real("X", X)


def rows(X: Any) -> tuple[Array | Parts, bool]:
    """`X` as native code takes it, and whether it is one row, shape (n,), which is made a matrix of one row."""
    X = features(X)
    return (X[None], True) if type(X) is not tuple and X.ndim == 1 else (X, False)


def dataset(X: Any, y: Any, sample_weight: Any) -> tuple[Array | Parts, Array, Array | None]:
    """`X`, `y` and sample weights as native code takes them. A row with a label for it is a matrix of one row."""
    X, y = features(X), real("y", y)
    if sample_weight is not None:
        sample_weight = real("sample_weight", sample_weight)
    if type(X) is not tuple and X.ndim == 1:
        if y.ndim:
            got = f"shape {shape_text(X.shape)} with y of shape {shape_text(y.shape)}"
            raise ValueError(f"X must be 2-dimensional, or one row with a scalar y, got {got}")
        X, y = X[None], y[None]
        sample_weight = sample_weight if sample_weight is None or sample_weight.ndim else sample_weight[None]
    return X, y, sample_weight


def parameters(weights: Any, bias: Any) -> tuple[Array, float | Array]:
    """Weights, and a number or, if there is a row of weights per class, perhaps one bias per class."""
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
    """A shape for messages; that of a scalar, easily overlooked, is explained."""
    return f"{shape}" if shape else "() (0-dimensional)"


def explained(error: ValueError, y: Array) -> ValueError:
    """What native code says of labels, and what to do where they are two classes, or 1 to K."""
    message = str(error)
    if not message.startswith("y must be "):
        return error
    labels = np.unique(y)
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
    try:
        return _from_pandas(value) if _is_of(value, "pandas") and hasattr(value, "ndim") else np.asarray(value)
    except (TypeError, ValueError) as error:  # of a ragged list, say
        refused = TypeError if isinstance(error, TypeError) else ValueError
        why = str(error).replace("\n", " ")
        raise refused(f"{name} must be an array of real numbers, got {kind(value)} ({why})") from error


def _from_pandas(value: Any) -> Array:
    """A frame or series as an array. Columns of several types, of which pandas makes objects, are taken one by one."""
    if value.ndim == 1:
        return _numbers(np.asarray(value))
    dtypes = list(value.dtypes)
    if len(set(dtypes)) == 1 and isinstance(dtypes[0], np.dtype):
        return _numbers(np.asarray(value))
    columns = [_numbers(np.asarray(value.iloc[:, j])) for j in range(len(dtypes))]
    if not columns or any(column.dtype.kind not in "biuf" for column in columns):
        return np.asarray(value)
    matrix = np.empty(value.shape, np.result_type(*columns), order="F")
    for j, column in enumerate(columns):
        matrix[:, j] = column
    return matrix


def _numbers(objects: Array) -> Array:
    """Objects that are all numbers, as those of one row of a frame, as float64; anything else as it is."""
    if objects.dtype == object and all(isinstance(value, REAL_OBJECTS) for value in objects.flat):
        return objects.astype(np.float64)
    return objects


def _not_real(name: str, value: Any, array: Array) -> TypeError:
    """What an array holds instead of real numbers, where, and what to do about it."""
    expected = f"{name} must be an array of real numbers"
    if array.dtype.kind not in "OUST":
        return TypeError(f"{expected}, got dtype {array.dtype}")
    if not array.ndim:
        return TypeError(f"{expected}, got {kind(array.item())}")
    objects = array if array.dtype == object or isinstance(value, ndarray) else np.array(value, object)
    strange = ((place, item) for place, item in np.ndenumerate(objects) if not isinstance(item, REAL_OBJECTS))
    place, wrong = next(strange, ((), None))
    if not place:
        return TypeError(f"{expected}, got dtype object: its elements are numbers, of which .astype(float) makes one")
    if name == "y" and isinstance(wrong, str | bytes):
        words = list(dict.fromkeys(str(item) for item in objects.flat))
        shown = ", ".join(map(repr, words[:MOST_SHOWN])) + (", …" if len(words) > MOST_SHOWN else "")
        return TypeError(f"{expected}, got words ({shown}): use LogisticRegression, or 0 and 1")
    if array.dtype != object and len(place) < 2:
        return TypeError(f"{expected}, got dtype {array.dtype}")
    where = _where(value, place)
    if isinstance(wrong, str | bytes):
        text = str(wrong) if len(wrong) <= MOST_LETTERS else f"{wrong[:MOST_LETTERS]!s}…"
        what = f"{where} holds text ({text!r}); encode it as numbers, or leave it out"
    elif wrong is None or kind(wrong) in ("NAType", "NaTType"):
        what = f"{where} has a missing value ({wrong}); fill it in, or leave its row out"
    else:
        what = f"{where} holds a {kind(wrong)}"
    return TypeError(f"{expected}, got dtype {array.dtype}: {what}")


def _where(value: Any, place: tuple[int, ...]) -> str:
    """The column of an element, by its name in a frame; of a vector its index."""
    if len(place) != 2:
        return f"index {', '.join(map(str, place))}"
    names = getattr(value, "column_names", getattr(value, "columns", None))
    name = None if names is None else list(names)[place[1]]
    return f"column {name!r}" if isinstance(name, str) else f"column {place[1]}"


def _listed(values: Array) -> str:
    """The values as "1, 2 and 3"."""
    *most, last = (f"{value:g}" for value in values.tolist())
    return f"{', '.join(most)} and {last}"


def _is_of(value: object, package: str) -> bool:
    """Whether its type, or one that it is based on, is from that package, which need not be installed."""
    return any(f"{base.__module__}.".startswith(f"{package}.") for base in type(value).__mro__)


def _sparse(value: object) -> str | None:
    """The name of its type, if it is one of SciPy's sparse containers. SciPy need not be installed."""
    return f"scipy.sparse {kind(value)}" if _is_of(value, "scipy.sparse") else None


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
