"""Arrays that the public functions are given, checked for their kind: real numbers, dense or, for `X`, CSR or CSC.

What can be read in place goes on as it is, in any layout. Shapes and values are checked by the native functions.
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
"""float32 or float64, as `X` is. Which of them cannot be told from the type of a list or a data frame."""


class Compressed(Protocol):
    """SciPy's CSR or CSC, array or matrix, or what has the same attributes and says to be one."""

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
        raise TypeError(f"{name} must be an array of real numbers, got dtype {array.dtype}")
    return array


def optional_real(name: str, value: Any) -> Array | None:
    """An array of real numbers or None."""
    return None if value is None else real(name, value)


def features(X: Any) -> Array | Parts:
    """`X` as native code takes it: an array, or the parts of a CSR or CSC matrix, which is never made dense."""
    if type(X) is not ndarray and (sparse := _sparse(X)):
        return _parts(X, sparse)
    return real("X", X)


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
    """A shape for messages; that of a scalar, easily overlooked, with a word on what it means."""
    return f"{shape}" if shape else "() (0-dimensional)"


def _as_array(name: str, value: Any) -> Array:
    if isinstance(value, np.ndarray):
        if is_masked(value):
            raise TypeError(f"{name} must be an array of real numbers, got a masked array")
        return value
    if sparse := _sparse(value):
        raise TypeError(f"{name} must be a dense array, got {sparse}")
    try:
        return np.asarray(value)
    except (TypeError, ValueError) as error:  # of a ragged list, say
        refused = TypeError if isinstance(error, TypeError) else ValueError
        why = str(error).replace("\n", " ")
        raise refused(f"{name} must be an array of real numbers, got {kind(value)} ({why})") from error


def _sparse(value: object) -> str | None:
    """The name of its type, if it is one of SciPy's sparse containers. SciPy need not be installed."""
    if any(str(base.__module__).startswith("scipy.sparse") for base in type(value).__mro__):
        return f"scipy.sparse {kind(value)}"
    return None


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
