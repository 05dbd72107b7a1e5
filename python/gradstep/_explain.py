"""explain: one update of gradient descent, as the textbook's formulas with the numbers filled in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gradstep._arrays import Array, real, shape_text
from gradstep._docs import suggests_names
from gradstep._fitted import Result
from gradstep._formulas import Gradient, decision_function, gradient_step, loss_gradient, predict_proba
from gradstep._options import number

MOST_TERMS = 6
"""The largest number of a vector's components that are written out."""

PLAIN = {
    r"\hat y": "ŷ", r"\sigma": "σ", r"\ln ": "ln ", r"\nabla ": "∇", r"\Delta ": "Δ", r"\cdot ": "·", r"\alpha": "α",
    r"\max": "max", r"\leftarrow": "←", r"\ldots": "…", r"\,": " ", "e^{": "e^(", "}": ")",
}  # fmt: skip
"""Replacements that turn the LaTeX of the formulas into plain text."""


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Explanation(Result):
    """One update of gradient descent from one point, made by `explain`. Printed as formulas with their numbers.

    Attributes
    ----------
    x : ndarray, shape (n,)
        The point.
    y : float
        Its label.
    weights : ndarray, shape (n,)
        The weights before the update.
    bias : float
        The bias before the update.
    learning_rate : float
        The learning rate α.
    z : float
        The score, z = W·x + b.
    y_hat : float
        The prediction, ŷ = σ(z).
    error : float
        The cross-entropy, E = -y ln ŷ - (1 - y) ln(1 - ŷ).
    residual : float
        The difference y - ŷ.
    gradient : Gradient
        ∇E = -(y - ŷ) (x_1, …, x_n, 1): the derivatives by the weights and, last, by the bias.
    delta_weights : ndarray, shape (n,)
        The change of the weights, Δw = α (y - ŷ) x.
    delta_bias : float
        The change of the bias, Δb = α (y - ŷ).
    new_weights : ndarray, shape (n,)
        The weights after the update, w + Δw.
    new_bias : float
        The bias after the update, b + Δb.

    Examples
    --------
    >>> update = gradstep.explain([1.0, 2.0], 1, [0.5, -0.25], 0.0, learning_rate=0.5)
    >>> update.z, update.y_hat, update.delta_weights
    (0.0, 0.5, array([0.25, 0.5 ]))
    """

    x: Array
    y: float
    weights: Array
    bias: float
    learning_rate: float
    z: float
    y_hat: float
    error: float
    residual: float
    gradient: Gradient
    delta_weights: Array
    delta_bias: float
    new_weights: Array
    new_bias: float

    def __repr__(self) -> str:
        lines = [line.split("&", 1) for line in self._lines(_plain)]
        width = max(len(_text(left)) for left, _ in lines)
        return "\n".join(f"{_text(left):>{width}}{_text(right)}" for left, right in lines)

    def _repr_latex_(self) -> str:
        return "$$\\begin{aligned}\n" + " \\\\\n".join(self._lines(_latex)) + "\n\\end{aligned}$$"

    def _lines(self, write: Callable[[float], str]) -> list[str]:
        """The formulas in LaTeX, one per line, with numbers formatted by `write`. They are aligned at "&"."""

        def factor(value: float) -> str:
            return f"({write(value)})" if value < 0 else write(value)

        def vector(values: Sequence[float]) -> str:
            return f"({', '.join(_few([write(value) for value in values]))})"

        x, residual, rate = self.x.tolist(), factor(self.residual), write(self.learning_rate)
        products = [rf"{factor(w)} \cdot {factor(v)}" for w, v in zip(self.weights.tolist(), x, strict=True)]
        slope = [*self.gradient.weights.tolist(), self.gradient.bias]
        y, y_hat, z = write(self.y), write(self.y_hat), write(self.z)
        error, filled = r"-y \ln \hat y - (1 - y) \ln (1 - \hat y)", rf"-{y} \cdot \ln {y_hat}"
        filled += rf" - (1 - {y}) \cdot \ln (1 - {y_hat})"
        if y_hat in ("0", "1"):  # six digits leave nothing of ŷ or of 1 - ŷ, whose logarithm is needed
            error, filled = r"\max(z, 0) - y z + \ln (1 + e^{-|z|})", rf"\max({z}, 0) - {y} \cdot {factor(self.z)}"
            filled += rf" + \ln (1 + e^{{-|{z}|}})"
        return [
            rf"z &= W x + b = {' + '.join([*_few(products), factor(self.bias)])} = {z}",
            rf"\hat y &= \sigma(z) = 1 / (1 + e^{{-{factor(self.z)}}}) = {y_hat}",
            rf"E &= {error} = {filled} = {write(self.error)}",
            rf"y - \hat y &= {y} - {y_hat} = {write(self.residual)}",
            rf"\nabla E &= -(y - \hat y) \cdot (x_1, \ldots, x_n, 1) = -{residual} \cdot {vector([*x, 1.0])}"
            rf" = {vector(slope)}",
            rf"\Delta w &= \alpha (y - \hat y) \cdot x = {rate} \cdot {residual} \cdot {vector(x)}"
            rf" = {vector(self.delta_weights.tolist())}",
            rf"\Delta b &= \alpha (y - \hat y) = {rate} \cdot {residual} = {write(self.delta_bias)}",
            rf"w &\leftarrow w + \Delta w = {vector(self.new_weights.tolist())}",
            rf"b &\leftarrow b + \Delta b = {write(self.new_bias)}",
        ]


@suggests_names
def explain(x: ArrayLike, y: float, weights: ArrayLike, bias: float, learning_rate: float) -> Explanation:
    """One step of gradient descent from one point, as formulas with the numbers filled in.

    The numbers are exactly those of `decision_function`, `predict_proba`, `loss`, `gradient` and `gradient_step` for
    this point. Exception: for a float32 point, Δw and Δb are rounded once more than the step itself.

    Parameters
    ----------
    x : array_like, shape (n,)
        The point.
    y : float
        Its label in [0, 1].
    weights : array_like, shape (n,)
        The weights.
    bias : float
        The bias.
    learning_rate : float
        The learning rate α, finite and positive.

    Returns
    -------
    Explanation
        Score, prediction, error, gradient, the changes of weights and bias, and the new weights and bias.

    Raises
    ------
    TypeError
        If an argument does not hold real numbers.
    ValueError
        If shapes do not fit, or the label or the learning rate is out of range.

    Notes
    -----
    With ŷ = σ(W x + b) and E = -y ln ŷ - (1 - y) ln(1 - ŷ), the gradient is ∇E = -(y - ŷ) (x_1, …, x_n, 1), because the
    derivative of σ, ŷ (1 - ŷ), cancels against those of the logarithms. So w_j changes by α (y - ŷ) x_j, and b by
    α (y - ŷ): the farther the prediction is from the label, the larger is the step.

    Examples
    --------
    >>> gradstep.explain([1.0, 2.0], 1, [0.5, -0.25], 0.0, learning_rate=0.5)
        z = W x + b = 0.5·1 + (-0.25)·2 + 0 = 0
        ŷ = σ(z) = 1 / (1 + e^(-0)) = 0.5
        E = -y ln ŷ - (1 - y) ln (1 - ŷ) = -1·ln 0.5 - (1 - 1)·ln (1 - 0.5) = 0.693147
    y - ŷ = 1 - 0.5 = 0.5
       ∇E = -(y - ŷ)·(x_1, …, x_n, 1) = -0.5·(1, 2, 1) = (-0.5, -1, -0.5)
       Δw = α (y - ŷ)·x = 0.5·0.5·(1, 2) = (0.25, 0.5)
       Δb = α (y - ŷ) = 0.5·0.5 = 0.25
        w ← w + Δw = (0.75, 0.25)
        b ← b + Δb = 0.25
    """
    x = real("x", x)
    if x.ndim != 1:
        raise ValueError(f"x must be one point, of shape (n,), got shape {shape_text(x.shape)}")
    label, before, rate = number("y", y), number("bias", bias), number("learning_rate", learning_rate)
    error, *parts = loss_gradient(x, label, weights, before)
    slope, step = Gradient(*parts), gradient_step(x, label, weights, before, rate)
    kind = step.weights.dtype.type
    return Explanation(
        x=x.astype(kind),
        y=label,
        weights=real("weights", weights).astype(kind),
        bias=float(kind(before)),
        learning_rate=rate,
        z=float(decision_function(x, weights, before)),
        y_hat=float(predict_proba(x, weights, before)),
        error=error,
        residual=-slope.bias,
        gradient=slope,
        delta_weights=(-rate * slope.weights.astype(np.float64)).astype(kind),
        delta_bias=float(kind(-rate * slope.bias)),
        new_weights=step.weights,
        new_bias=step.bias,
    )


def _few(items: list[str]) -> list[str]:
    """The items; if there are more than `MOST_TERMS`, only the first and the last ones, with dots between."""
    half = MOST_TERMS // 2
    return items if len(items) <= MOST_TERMS else [*items[:half], r"\ldots", *items[-half:]]


def _plain(value: float) -> str:
    return f"{value + 0.0:.6g}"  # + 0.0 turns -0.0 into 0.0


def _latex(value: float) -> str:
    """The number in LaTeX; an exponent is written as a power of ten."""
    if not math.isfinite(value):
        return r"\infty" if value > 0 else r"-\infty" if value < 0 else r"\mathrm{nan}"
    digits, _, power = _plain(value).partition("e")
    return rf"{digits} \times 10^{{{int(power)}}}" if power else digits


def _text(latex: str) -> str:
    """A formula in LaTeX, converted to plain text."""
    for command, text in PLAIN.items():
        latex = latex.replace(command, text)
    return latex.replace(" ·", "·")
