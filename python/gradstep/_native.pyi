from collections.abc import Callable
from typing import Any, Literal, Protocol, TypeAlias, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep._results import Fit, Gradient, Iteration, LossGradient, Optimum, Step

# Arrays of results are float32 or float64, as X is; scalars of the elementwise functions likewise. Which of them it is
# cannot be told from the type of a list or a data frame, hence Any.

__all__ = [
    "Trainer",
    "__version__",
    "configuration",
    "covariance",
    "cross_entropy",
    "decision_function",
    "fit",
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

__version__: str

class _Compressed(Protocol):
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

_Features: TypeAlias = ArrayLike | _Compressed

def configuration() -> dict[str, Any]: ...
def sigmoid(z: ArrayLike, *, out: NDArray[Any] | None = None) -> Any: ...
def sigmoid_derivative(z: ArrayLike, *, out: NDArray[Any] | None = None) -> Any: ...
def log_sigmoid(z: ArrayLike, *, out: NDArray[Any] | None = None) -> Any: ...
def softmax(z: ArrayLike, *, out: NDArray[Any] | None = None) -> NDArray[Any]: ...
def decision_function(
    X: _Features, weights: ArrayLike, bias: ArrayLike = 0.0, *, n_threads: int | None = None
) -> NDArray[Any]: ...
def predict_proba(
    X: _Features, weights: ArrayLike, bias: ArrayLike = 0.0, *, n_threads: int | None = None
) -> NDArray[Any]: ...
def cross_entropy(y: ArrayLike, y_hat: ArrayLike, *, sample_weight: ArrayLike | None = None) -> float: ...
def loss(
    X: _Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
) -> float: ...
def gradient(
    X: _Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Gradient: ...
def loss_gradient(
    X: _Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
) -> LossGradient: ...
def gradient_step(
    X: _Features,
    y: ArrayLike,
    weights: ArrayLike,
    bias: float,
    learning_rate: float,
    *,
    reduction: Literal["mean", "sum"] = "mean",
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
) -> Step: ...
def hessian(
    X: _Features,
    weights: ArrayLike,
    bias: float = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    n_threads: int | None = None,
) -> NDArray[np.float64]: ...
def covariance(
    X: _Features,
    weights: ArrayLike,
    bias: float = 0.0,
    *,
    sample_weight: ArrayLike | None = None,
    fit_bias: bool = True,
    n_threads: int | None = None,
) -> NDArray[np.float64]: ...
def fit(
    X: _Features,
    y: ArrayLike,
    *,
    l2: float = 0.0,
    sample_weight: ArrayLike | None = None,
    fit_bias: bool = True,
    solver: Literal["auto", "lbfgs", "gd"] = "auto",
    gap_tol: float = 1e-8,
    tol: float | None = None,
    certify: bool = True,
    max_passes: float = 1000,
    weights: ArrayLike | None = None,
    bias: ArrayLike | None = None,
    n_threads: int | None = None,
    callback: Callable[[Iteration], bool | None] | None = None,
) -> Optimum: ...

@final
class Trainer:
    def __new__(
        cls,
        learning_rate: float | Literal["auto"] = 0.1,
        epochs: int = 100,
        *,
        batch_size: int | None = None,
        shuffle: bool = False,
        seed: int | None = None,
        reduction: Literal["mean", "sum"] = "mean",
        activation: Literal["sigmoid", "step"] = "sigmoid",
        l2: float = 0.0,
        tol: float = 0.0,
        n_threads: int | None = None,
        trace: bool = False,
    ) -> Trainer: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...
    @property
    def learning_rate(self) -> float | Literal["auto"]: ...
    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int | None: ...
    @property
    def shuffle(self) -> bool: ...
    @property
    def seed(self) -> int | None: ...
    @property
    def reduction(self) -> Literal["mean", "sum"]: ...
    @property
    def activation(self) -> Literal["sigmoid", "step"]: ...
    @property
    def l2(self) -> float: ...
    @property
    def tol(self) -> float: ...
    @property
    def n_threads(self) -> int | None: ...
    @property
    def trace(self) -> bool: ...
    def fit(
        self,
        X: _Features,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        bias: float = 0.0,
        *,
        callback: Callable[[int, float, NDArray[Any], float], bool | None] | None = None,
    ) -> Fit: ...
