"""Logistic regression by gradient descent: the textbook's formulas, computed by compiled code.

The formulas are functions of arrays, `Trainer` is gradient descent over epochs, and `fit` finds the optimum and proves
that it is one. These arguments mean the same wherever they occur:

X : features, shape (m, n)
    A row per sample, a column per feature: a list, a data frame, or an array of real numbers in any layout, which is
    read in place. float32 is computed in float32, anything else in float64. SciPy's CSR and CSC arrays and matrices are
    accepted too, and never made dense. Formulas propagate NaN and infinities; `fit` and `Trainer.fit` raise an error
    that names the first of them. The formulas of scores, errors and gradients also take one row, shape (n,), with a
    scalar `y`. They return what they would for a matrix of this row alone, but a scalar instead of one number per row.
y : array_like, shape (m,)
    Labels in [0, 1]; with weights of K classes the codes 0, 1, …, K - 1.
weights : array_like, shape (n,) or (K, n)
    One weight w per column; for softmax over K classes a row of weights per class.
bias : float or array_like of shape (K,), default 0.0
    The bias b; with weights of K classes one per class, or one number for all.
sample_weight : array_like, shape (m,), optional
    Weights s_i >= 0 of the rows, not all zero; all 1 by default. A row with weight 3 counts like three equal rows.
offset : array_like, shape (m,) or (m, K), optional
    Finite numbers that are added to the scores of the rows: the part of the scores that is known. With K classes, each
    row has an offset for each class. For float32 rows, offsets are rounded to float32.
n_threads : int, optional
    Number of threads to use; by default the value of the environment variable GRADSTEP_NUM_THREADS or OMP_NUM_THREADS,
    or one thread per available processor. Results do not depend on the number of threads.
out : ndarray, optional
    Where an elementwise function writes its result: an array with the shape of its argument and the dtype of the
    computation. It may overlap the argument, or be the argument itself. If Ctrl-C interrupts the call, it may be partly
    written.

No argument except `out` is ever modified. A bad argument raises a TypeError (not real numbers, for example), a
ValueError (out of range, or of the wrong shape) or a MemoryError. The message names the argument, what it must be, and
what was given.

Examples
--------
>>> import gradstep
>>> descent = gradstep.Trainer(learning_rate=0.5, epochs=200).fit([[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1])
>>> descent.predict_proba([[1.0], [2.0]]).round(1)
array([0.2, 0.9])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from gradstep._native import __version__

if TYPE_CHECKING:
    from gradstep import dask as dask
    from gradstep import inference as inference
    from gradstep import plot as plot
    from gradstep import spark as spark
    from gradstep._config import show_config
    from gradstep._cross_validation import LogisticRegressionCV as LogisticRegressionCV
    from gradstep._descent import Descent, Parameters, Trainer
    from gradstep._estimator import LogisticRegression as LogisticRegression
    from gradstep._evaluation import Evaluation
    from gradstep._explain import Explanation, explain
    from gradstep._fitted import StopReason
    from gradstep._formulas import (
        Gradient,
        LossGradient,
        Step,
        covariance,
        cross_entropy,
        decision_function,
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
    from gradstep._many import fit_many
    from gradstep._model import Model, load
    from gradstep._onnx import register_skl2onnx
    from gradstep._optimum import Alias, Iteration, Optimum, Separation, fit
    from gradstep._page import show
    from gradstep._path import Path, path
    from gradstep._report import Report
    from gradstep._train import train
    from gradstep._wald import Coefficients

__all__ = [
    "Alias",
    "Coefficients",
    "Descent",
    "Evaluation",
    "Explanation",
    "Gradient",
    "Iteration",
    "LossGradient",
    "Model",
    "Optimum",
    "Parameters",
    "Path",
    "Report",
    "Separation",
    "Step",
    "StopReason",
    "Trainer",
    "__version__",
    "covariance",
    "cross_entropy",
    "decision_function",
    "explain",
    "fit",
    "fit_many",
    "gradient",
    "gradient_step",
    "hessian",
    "load",
    "log_sigmoid",
    "loss",
    "loss_gradient",
    "path",
    "predict_proba",
    "register_skl2onnx",
    "show",
    "show_config",
    "sigmoid",
    "sigmoid_derivative",
    "softmax",
    "train",
]

MODULES = ("dask", "inference", "plot", "spark")
ESTIMATORS = {
    "LogisticRegression": "_estimator",
    "LogisticRegressionCV": "_cross_validation",
}
_NAMES = {
    "_config": "show_config",
    "_descent": "Descent Parameters Trainer",
    "_evaluation": "Evaluation",
    "_explain": "Explanation explain",
    "_fitted": "StopReason",
    "_formulas": "Gradient LossGradient Step covariance cross_entropy decision_function gradient gradient_step hessian "
    "log_sigmoid loss loss_gradient predict_proba sigmoid sigmoid_derivative softmax",
    "_many": "fit_many",
    "_model": "Model load",
    "_onnx": "register_skl2onnx",
    "_optimum": "Alias Iteration Optimum Separation fit",
    "_page": "show",
    "_path": "Path path",
    "_report": "Report",
    "_train": "train",
    "_wald": "Coefficients",
}
_MODULES = {name: module for module, names in _NAMES.items() for name in names.split()} | ESTIMATORS
"""The module of each name. It is loaded when the name is first used: some modules need more libraries than NumPy."""


if not TYPE_CHECKING:  # with this function, type checkers would accept every misspelt name

    def __getattr__(name: str) -> Any:
        """The object of this name in the package. Its module is loaded now, at the first use of the name."""
        if name in MODULES:
            return import_module(f"gradstep.{name}")
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from gradstep._extras import extra

        if name in ESTIMATORS:
            needed = extra("sklearn", f"gradstep.{name} needs scikit-learn 1.6 or newer", "scipy", "sklearn")
        else:
            needed = extra("cli", f"gradstep.{name} needs polars", "polars")
        with needed:
            found = getattr(import_module(f"gradstep.{_MODULES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES, *MODULES})
