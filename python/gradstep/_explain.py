"""explain: one update of gradient descent, as the textbook's formulas with the numbers filled in."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from gradstep._arrays import Array, parameters, real, shape_text
from gradstep._docs import suggests_names
from gradstep._fitted import Result
from gradstep._formulas import Gradient, decision_function, gradient_step, loss_gradient, predict_proba
from gradstep._options import number

MOST_TERMS = 6
"""The most components of a vector, and the most classes, that are written out. If there are more, dots replace some."""

PLAIN = {
    r"\hat y": "ŷ", r"\sigma": "σ", r"\ln ": "ln ", r"\nabla ": "∇", r"\Delta ": "Δ", r"\cdot ": "·", r"\alpha": "α",
    r"\max": "max", r"\leftarrow": "←", r"\ldots": "…", r"\sum": "Σ", r"\,": " ", "e^{": "e^(", "}": ")",
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
    weights : ndarray, shape (n,); of K classes (K, n)
        The weights before the update.
    bias : float; of K classes ndarray of shape (K,), as are `z`, `y_hat`, `residual`, `delta_bias` and `new_bias`
        The bias before the update.
    learning_rate : float
        The learning rate α.
    z : float
        The score, z = W·x + b.
    y_hat : float
        The prediction, ŷ = σ(z); of classes their probabilities, the softmax of z.
    error : float
        The cross-entropy, E = -y ln ŷ - (1 - y) ln(1 - ŷ); of classes -ln ŷ_y.
    residual : float
        The difference y - ŷ; of classes 1 - ŷ_k for the class of the label, and -ŷ_k for the others.
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
    bias: Any
    learning_rate: float
    z: Any
    y_hat: Any
    error: float
    residual: Any
    gradient: Gradient
    delta_weights: Array
    delta_bias: Any
    new_weights: Array
    new_bias: Any

    def __repr__(self) -> str:
        lines = [line.split("&", 1) for line in self._lines(_plain)]
        width = max(len(_text(left)) for left, _ in lines)
        return "\n".join(f"{_text(left):>{width}}{_text(right)}".rstrip() for left, right in lines)

    def _repr_latex_(self) -> str:
        return "$$\\begin{aligned}\n" + " \\\\\n".join(self._lines(_latex)) + "\n\\end{aligned}$$"

    def _lines(self, write: Callable[[float], str]) -> list[str]:
        """The formulas in LaTeX, one per line, with numbers formatted by `write`. They are aligned at "&"."""
        written = _Written(self, write)
        return written.of_one_score() if self.weights.ndim == 1 else written.of_classes()


@dataclass(frozen=True, slots=True)
class _Written:
    """The formulas of an update in LaTeX, with numbers formatted by `write`."""

    update: Explanation
    write: Callable[[float], str]

    def factor(self, value: float) -> str:
        return f"({self.write(value)})" if value < 0 else self.write(value)

    def vector(self, values: Array | Sequence[float]) -> str:
        return f"({', '.join(_few([self.write(float(value)) for value in values]))})"

    def score(self, weights: Array, bias: float) -> str:
        """W x + b with its numbers."""
        pairs = zip(weights.tolist(), self.update.x.tolist(), strict=True)
        products = [rf"{self.factor(w)} \cdot {self.factor(x)}" for w, x in pairs]
        return " + ".join([*_few(products), self.factor(float(bias))])

    def of_one_score(self) -> list[str]:
        update, write, factor, vector = self.update, self.write, self.factor, self.vector
        x, residual, rate = update.x.tolist(), factor(update.residual), write(update.learning_rate)
        slope = [*update.gradient.weights.tolist(), update.gradient.bias]
        y, y_hat, z = write(update.y), write(update.y_hat), write(update.z)
        error, filled = r"-y \ln \hat y - (1 - y) \ln (1 - \hat y)", rf"-{y} \cdot \ln {y_hat}"
        filled += rf" - (1 - {y}) \cdot \ln (1 - {y_hat})"
        if y_hat in ("0", "1"):  # ŷ or 1 - ŷ is 0 once ŷ is rounded to six digits, and 0 has no logarithm
            error, filled = r"\max(z, 0) - y z + \ln (1 + e^{-|z|})", rf"\max({z}, 0) - {y} \cdot {factor(update.z)}"
            filled += rf" + \ln (1 + e^{{-|{z}|}})"
        return [
            rf"z &= W x + b = {self.score(update.weights, update.bias)} = {z}",
            rf"\hat y &= \sigma(z) = 1 / (1 + e^{{-{factor(update.z)}}}) = {y_hat}",
            rf"E &= {error} = {filled} = {write(update.error)}",
            rf"y - \hat y &= {y} - {y_hat} = {write(update.residual)}",
            rf"\nabla E &= -(y - \hat y) \cdot (x_1, \ldots, x_n, 1) = -{residual} \cdot {vector([*x, 1.0])}"
            rf" = {vector(slope)}",
            rf"\Delta w &= \alpha (y - \hat y) \cdot x = {rate} \cdot {residual} \cdot {vector(x)}"
            rf" = {vector(update.delta_weights)}",
            rf"\Delta b &= \alpha (y - \hat y) = {rate} \cdot {residual} = {write(update.delta_bias)}",
            rf"w &\leftarrow w + \Delta w = {vector(update.new_weights)}",
            rf"b &\leftarrow b + \Delta b = {write(update.new_bias)}",
        ]

    def of_classes(self) -> list[str]:
        update, write, factor, vector = self.update, self.write, self.factor, self.vector
        classes, label = len(update.weights), int(update.y)
        rate, x, z = write(update.learning_rate), vector(update.x), update.z.tolist()

        def each(line: Callable[[int], str]) -> list[str]:
            """The lines of the first classes, the last classes and the class of the label, with dots for the others."""
            half = MOST_TERMS // 2 if classes > MOST_TERMS else classes
            shown = sorted({*range(half), label, *range(classes - half, classes)})
            lines = [line(0)]
            for before, k in itertools.pairwise(shown):
                lines += [r"\ldots &", line(k)] if k > before + 1 else [line(k)]
            return lines

        powers = [rf"e^{{{write(value)}}}" for value in z]
        total = " + ".join(_few(powers))
        p_y = write(float(update.y_hat[label]))
        error, filled = rf"-\ln p_{{{label}}}", rf"-\ln {p_y}"
        if p_y in ("0", "1"):  # p_y or 1 - p_y is 0 once p_y is rounded to six digits
            error, filled = rf"\ln \sum_l e^{{z_l}} - z_{{{label}}}", rf"\ln ({total}) - {factor(z[label])}"
        target = np.arange(classes) == label
        return [
            *each(lambda k: rf"z_{{{k}}} &= W_{{{k}}} x + b_{{{k}}} = {self.score(update.weights[k], update.bias[k])}"
                  rf" = {write(z[k])}"),
            rf"p &= e^{{z_k}} / \sum_l e^{{z_l}} = ({', '.join(_few(powers))}) / ({total}) = {vector(update.y_hat)}",
            rf"E &= {error} = {filled} = {write(update.error)}",
            rf"y - p &= {vector(target)} - {vector(update.y_hat)} = {vector(update.residual)}",
            *each(lambda k: rf"\Delta w_{{{k}}} &= \alpha (y_{{{k}}} - p_{{{k}}}) \cdot x = {rate} \cdot"
                  rf" {factor(float(update.residual[k]))} \cdot {x} = {vector(update.delta_weights[k])}"),
            rf"\Delta b &= \alpha (y - p) = {rate} \cdot {vector(update.residual)} = {vector(update.delta_bias)}",
            *each(lambda k: rf"w_{{{k}}} &\leftarrow w_{{{k}}} + \Delta w_{{{k}}} = {vector(update.new_weights[k])}"),
            rf"b &\leftarrow b + \Delta b = {vector(update.new_bias)}",
        ]  # fmt: skip


@suggests_names
def explain(x: ArrayLike, y: float, weights: ArrayLike, bias: ArrayLike, learning_rate: float) -> Explanation:
    """One step of gradient descent from one point, as formulas with the numbers filled in.

    The numbers are exactly those of `decision_function`, `predict_proba`, `loss`, `gradient` and `gradient_step` for
    this point. The exception: if the point is float32, Δw and Δb have one rounding more than the step itself.

    Parameters
    ----------
    x : array_like, shape (n,)
        The point.
    y : float
        Its label in [0, 1]; of K classes its code, 0 to K - 1.
    weights : array_like, shape (n,) or (K, n)
        The weights; of K classes a row for each.
    bias : float or array_like of shape (K,)
        The bias; of K classes one for each, or one number for all.
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

    Of K classes, z_k = W_k x + b_k and p_k = e^z_k / Σ e^z_l, E = -ln p_y for the label's class y, and the weights of
    each class change by α (y_k - p_k) x, where y_k is 1 for k = y and else 0. Two rows of weights are two such classes,
    as in `gradient_step`: p_1 is then σ(z_1 - z_0).

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
    >>> gradstep.explain([1.0, 2.0], 2, [[0.0, 0.0], [1.0, 0.0], [0.0, 0.5]], 0.0, learning_rate=0.5)
      z_0 = W_0 x + b_0 = 0·1 + 0·2 + 0 = 0
      z_1 = W_1 x + b_1 = 1·1 + 0·2 + 0 = 1
      z_2 = W_2 x + b_2 = 0·1 + 0.5·2 + 0 = 1
        p = e^(z_k) / Σ_l e^(z_l) = (e^(0), e^(1), e^(1)) / (e^(0) + e^(1) + e^(1)) = (0.155362, 0.422319, 0.422319)
        E = -ln p_2 = -ln 0.422319 = 0.861995
    y - p = (0, 0, 1) - (0.155362, 0.422319, 0.422319) = (-0.155362, -0.422319, 0.577681)
     Δw_0 = α (y_0 - p_0)·x = 0.5·(-0.155362)·(1, 2) = (-0.0776812, -0.155362)
     Δw_1 = α (y_1 - p_1)·x = 0.5·(-0.422319)·(1, 2) = (-0.211159, -0.422319)
     Δw_2 = α (y_2 - p_2)·x = 0.5·0.577681·(1, 2) = (0.288841, 0.577681)
       Δb = α (y - p) = 0.5·(-0.155362, -0.422319, 0.577681) = (-0.0776812, -0.211159, 0.288841)
      w_0 ← w_0 + Δw_0 = (-0.0776812, -0.155362)
      w_1 ← w_1 + Δw_1 = (0.788841, -0.422319)
      w_2 ← w_2 + Δw_2 = (0.288841, 1.07768)
        b ← b + Δb = (-0.0776812, -0.211159, 0.288841)
    """
    x = real("x", x)
    if x.ndim != 1:
        raise ValueError(f"x must be one point, of shape (n,), got shape {shape_text(x.shape)}")
    label, rate = number("y", y), number("learning_rate", learning_rate)
    weights, before = parameters(weights, bias)
    error, *parts = loss_gradient(x, label, weights, before)
    slope, step = Gradient(*parts), gradient_step(x, label, weights, before, rate)
    kind = step.weights.dtype.type

    def of_scores(values: Any) -> Any:
        """The value as a float if the model has one score; with K classes, an array with a number for each class."""
        return float(kind(values)) if weights.ndim == 1 else np.broadcast_to(values, len(weights)).astype(kind)

    return Explanation(
        x=x.astype(kind),
        y=label,
        weights=weights.astype(kind),
        bias=of_scores(before),
        learning_rate=rate,
        z=of_scores(decision_function(x, weights, before)),
        y_hat=of_scores(predict_proba(x, weights, before)),
        error=error,
        residual=of_scores(-np.asarray(slope.bias)),
        gradient=slope,
        delta_weights=(-rate * slope.weights.astype(np.float64)).astype(kind),
        delta_bias=of_scores(-rate * np.asarray(slope.bias, np.float64)),
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
    latex = re.sub(r"_\{(\d+)\}", r"_\1", latex)
    for command, text in PLAIN.items():
        latex = latex.replace(command, text)
    return latex.replace(" ·", "·")
