"""Logistic regression by gradient descent: the textbook's formulas, computed natively.

Examples
--------
>>> import gradstep
>>> fit = gradstep.Trainer(learning_rate=0.5, epochs=200).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
>>> gradstep.predict_proba([[1.0], [2.0]], fit.weights, fit.bias).round(1)
array([0.2, 0.9])
"""

from gradstep._config import show_config
from gradstep._native import (
    Trainer,
    __version__,
    cross_entropy,
    fit,
    gradient,
    gradient_step,
    log_sigmoid,
    loss,
    loss_gradient,
    predict_proba,
    sigmoid,
    sigmoid_derivative,
    softmax,
)
from gradstep._results import Fit, Gradient, Iteration, LossGradient, Optimum, Separation, Step, StopReason

__all__ = [
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
    "cross_entropy",
    "fit",
    "gradient",
    "gradient_step",
    "log_sigmoid",
    "loss",
    "loss_gradient",
    "predict_proba",
    "show_config",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
]
