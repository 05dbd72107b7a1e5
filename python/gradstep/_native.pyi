"""The compiled functions. They take arguments by position, whose types the Python functions have checked before."""

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradstep._arrays import Array, Parts
from gradstep._descent import Options
from gradstep._optimum import FitOptions

__all__ = [
    "UNIT",
    "__version__",
    "answer",
    "check_descent",
    "configuration",
    "covariance",
    "cross_entropy",
    "decision_function",
    "descend",
    "fit",
    "fit_along",
    "fit_many",
    "gradient",
    "gradient_step",
    "hessian",
    "log_sigmoid",
    "loss",
    "loss_gradient",
    "predict_proba",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
]

UNIT: int
__version__: str

_X: TypeAlias = Array | Parts
_Read: TypeAlias = tuple[Callable[..., Any], bool, int, bool, Any]
_Bias: TypeAlias = float | Array

def configuration() -> dict[str, Any]: ...
def sigmoid(z: Array, out: Array | None) -> Any: ...
def sigmoid_derivative(z: Array, out: Array | None) -> Any: ...
def log_sigmoid(z: Array, out: Array | None) -> Any: ...
def softmax(z: Array, out: Array | None) -> Any: ...
def decision_function(x: _X, weights: Array, bias: _Bias, n_threads: int | None) -> Array: ...
def predict_proba(x: _X, weights: Array, bias: _Bias, n_threads: int | None) -> Array: ...
def cross_entropy(y: Array, y_hat: Array, sample_weight: Array | None) -> float: ...
def loss(x: _X, y: Array, weights: Array, bias: _Bias, of_rows: list[Array | None], n_threads: int | None) -> float: ...
def gradient(
    x: _X, y: Array, weights: Array, bias: _Bias, of_rows: list[Array | None], n_threads: int | None
) -> tuple[Array, Any]: ...
def loss_gradient(
    x: _X | _Read, y: Array, weights: Array, bias: _Bias, of_rows: list[Array | None], n_threads: int | None
) -> tuple[float, Array, Any]: ...
def gradient_step(
    x: _X,
    y: Array,
    weights: Array,
    bias: _Bias,
    learning_rate: float,
    reduction: str,
    of_rows: list[Array | None],
    n_threads: int | None,
) -> tuple[Array, Any]: ...
def hessian(
    x: _X, weights: Array, bias: float, of_rows: list[Array | None], n_threads: int | None
) -> NDArray[np.float64]: ...
def covariance(
    x: _X, weights: Array, bias: float, of_rows: list[Array | None], fit_bias: bool, n_threads: int | None
) -> NDArray[np.float64]: ...
def fit(
    x: _X | _Read,
    y: Array,
    of_rows: list[Array | None],
    given: FitOptions,
    start: tuple[Array | None, _Bias | None],
    callback: Callable[..., bool] | None,
) -> dict[str, Any]: ...
def fit_along(
    x: _X | _Read,
    y: Array,
    of_rows: list[Array | None],
    given: FitOptions,
    start: tuple[Array | None, _Bias | None],
    strengths: list[tuple[float, float]],
    is_last: Callable[[float], bool],
) -> list[dict[str, Any]]: ...
def fit_many(
    x: _X,
    fits: list[tuple[Array, list[Array | None], FitOptions, tuple[Array | None, _Bias | None]]],
    n_threads: int | None,
) -> list[dict[str, Any]]: ...
def answer(
    request: bytes,
    first: int,
    x: Array,
    y: Array,
    of_rows: list[Array | None],
    is_single: bool,
    n_threads: int | None,
) -> bytes: ...
def check_descent(given: Options) -> None: ...
def descend(
    given: Options,
    x: _X | _Read,
    y: Array,
    of_rows: list[Array | None],
    start: tuple[Array | None, _Bias],
    callback: Callable[..., bool] | None,
    keeps_path: Callable[[int], bool],
) -> dict[str, Any]: ...
