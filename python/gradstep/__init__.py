"""Logistic regression by gradient descent: the textbook's formulas, computed natively.

Examples
--------
>>> import gradstep
>>> fit = gradstep.Trainer(learning_rate=0.5, epochs=200).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
>>> gradstep.predict_proba([[1.0], [2.0]], fit.weights, fit.bias).round(1)
array([0.2, 0.9])
"""

from typing import TYPE_CHECKING, Any

from gradstep._config import show_config
from gradstep._native import (
    Trainer,
    __version__,
    covariance,
    cross_entropy,
    decision_function,
    fit,
    gradient,
    gradient_step,
    hessian,
    log_sigmoid,
    loss,
    loss_gradient,
    predict_proba,
    sigmoid,
    sigmoid_derivative,
    softmax,
)
from gradstep._results import Alias, Fit, Gradient, Iteration, LossGradient, Optimum, Separation, Step, StopReason

if TYPE_CHECKING:
    from gradstep._estimator import LogisticRegression as LogisticRegression

__all__ = [
    "Alias",
    "Fit",
    "Gradient",
    "Iteration",
    "LossGradient",
    "Optimum",
    "Separation",
    "Step",
    "StopReason",
    "Trainer",
    "__version__",
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
    "show_config",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
]


def __getattr__(name: str) -> Any:
    """Load the estimator when it is first asked for: all else needs NumPy alone."""
    if name != "LogisticRegression":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from gradstep._estimator import LogisticRegression
    except ImportError as error:
        if (error.name or "").partition(".")[0] not in ("scipy", "sklearn"):
            raise
        needed = "gradstep.LogisticRegression needs scikit-learn 1.6 or newer: pip install 'gradstep[sklearn]'"
        raise ImportError(needed, name=error.name) from error
    return LogisticRegression


def __dir__() -> list[str]:
    return sorted([*globals(), "LogisticRegression"])
