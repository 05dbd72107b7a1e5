"""Gradient descent over epochs: `Trainer` has its options, and `Descent` its results."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import KW_ONLY, dataclass, replace
from functools import partial
from importlib import import_module
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep import _native
from gradstep._arrays import Array, Features, explained, features, optional_real, parameters, real
from gradstep._docs import documented_fields, suggests_names
from gradstep._fitted import Fitted, StopReason, codes_of
from gradstep._frames import feature_names
from gradstep._options import count, flag, number, observer, optional_count, optional_flag, optional_seed, text, word
from gradstep._reading import Reader
from gradstep._sources import is_source, native_rows, opened

Callback: TypeAlias = Callable[[int, float, Array, Any], bool | None]
LARGEST_RECORD = 2**30
"""The largest size of a trace or of a path, in bytes."""
SMALL_PATH = 2**20
"""The largest size, in bytes, of a path that is kept by default, with ``path=None``."""
RISE = 1e-6
"""The smallest relative increase of a loss that counts as a rise. A smaller one may be due to rounding alone."""
Penalty: TypeAlias = tuple[float, float, bool]
Options: TypeAlias = tuple[float | None, int, int | None, int | None, str, str, Penalty, float, int | None, bool]
"""The options of a `Trainer` as native code expects them, in the order of `Trainer`. The learning rate "auto" is None.
`shuffle` and `seed` are one item: the seed, or None without shuffling. The item `Penalty` has l1, l2 and `fit_bias`.
"""


@documented_fields
class Parameters(NamedTuple):
    """Weights and bias: those that a descent starts from, or those at the end of each of its epochs.

    Attributes
    ----------
    weights : ndarray, shape (n,) or (n_epochs, n)
        The weights, in the dtype of the computation; of K classes (K, n) or (n_epochs, K, n).
    bias : float, or ndarray of shape (n_epochs,)
        The bias, at the same time as the weights; of K classes an ndarray of shape (K,) or (n_epochs, K).

    Examples
    --------
    >>> descent = gradstep.Trainer(learning_rate=0.5, epochs=2).fit([[2.0], [4.0]], [1, 1])
    >>> descent.start
    Parameters(weights=array([0.]), bias=0.0)
    >>> descent.path.weights.round(3)
    array([[0.75 ],
           [0.861]])
    """

    weights: Array
    bias: Any


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Descent(Fitted):
    """What `Trainer.fit` arrived at, and how.

    Attributes
    ----------
    weights : ndarray, shape (n,); of K >= 3 classes (K, n)
        The weights after the last epoch, in the dtype of the computation; if the descent diverged, those after the last
        epoch in which all was finite.
    bias : float; of K >= 3 classes ndarray of shape (K,)
        The bias, after the same epoch as the weights.
    history : ndarray of float64, shape (n_epochs,)
        Mean cross-entropy over all rows after each epoch, without the penalty; with ``activation="step"`` the fraction
        of the rows that are misclassified.
    n_epochs : int
        Number of epochs in `history`.
    stop_reason : StopReason
        Why the descent ended.
    trace : structured ndarray or None
        With ``trace=True`` one record per update: ``epoch, row, y, z, y_hat, error, residual, delta_weights,
        delta_bias, weights, bias``. `residual` is y - ŷ; `weights` and `bias` are those after the update. In updates of
        several rows, each of ``row, y, z, y_hat, residual`` is an array with a value for each row, and `error` is the
        mean over the rows; a shorter last batch is filled up with rows of number -1 and values NaN. Of K >= 3 classes
        each score, prediction, residual and bias is K numbers, one per class, weights are of shape (K, n), and `y` is
        the code of the class.
    trainer : Trainer
        The options of the descent. If rows were shuffled without a seed, `trainer.seed` is the seed that was drawn.
    start : Parameters
        The weights and the bias that the descent started from.
    start_loss : float
        The mean cross-entropy at the start, or the fraction misclassified, as in `history`.
    path : Parameters or None
        The weights and biases at the end of each epoch: shapes (n_epochs, n) and (n_epochs,), or (n_epochs, K, n) and
        (n_epochs, K). See `Trainer` for when they are kept.
    feature_names : tuple of str or None
        The names of the columns of the frame that was fitted; None if `X` was no frame. Predictions refuse a frame with
        other columns.

    Notes
    -----
    `decision_function`, `predict_proba` and `predict` apply the weights to other rows. Descents are equal if all their
    parts are; they can be copied and pickled.

    Examples
    --------
    >>> descent = gradstep.Trainer(learning_rate=0.5, epochs=1).fit([[2.0], [4.0]], [1, 1])
    >>> descent
    Descent: 1 epoch, stopped by 'epochs'
      loss     0.0991328
      weights  [0.75]
      bias     0.25
    >>> descent.predict([[3.0], [-3.0]])
    array([1, 0])
    """

    weights: Array
    bias: Any
    history: NDArray[np.float64]
    n_epochs: int
    stop_reason: StopReason
    trace: NDArray[np.void] | None
    trainer: Trainer
    start: Parameters
    start_loss: float
    path: Parameters | None
    feature_names: tuple[str, ...] | None = None

    @property
    def activation(self) -> Literal["sigmoid", "step"]:
        """How scores become predictions."""
        return self.trainer.activation

    @property
    def rose_in(self) -> int | None:
        """The first epoch, counted from 0, with a loss larger by more than a millionth than that of the epoch before.

        None if there is no such epoch. The first epoch is compared with the start. A rise mostly means that the
        learning rate is too large; with a penalty, the loss alone may also rise while the loss plus the penalty falls.
        Of a perceptron always None, since its fraction of misclassified rows goes up and down anyway.
        """
        if self.activation == "step":
            return None
        losses = np.append(self.start_loss, self.history)
        risen = np.flatnonzero(losses[1:] > losses[:-1] * (1 + RISE))
        return int(risen[0]) if len(risen) else None

    def predict_proba(self, X: Features, *, offset: ArrayLike | None = None, n_threads: int | None = None) -> Array:
        """The prediction ŷ for every row of `X`, shape (m,): the probability of label 1, or the perceptron's 0 or 1.

        Of K >= 3 classes the probability of each, shape (m, K).
        """
        if self.activation == "sigmoid":
            return Fitted.predict_proba(self, X, offset=offset, n_threads=n_threads)
        z = self.decision_function(X, offset=offset, n_threads=n_threads)
        return np.asarray(z >= 0, z.dtype)

    def predict(
        self, X: Features, *, offset: ArrayLike | None = None, n_threads: int | None = None
    ) -> NDArray[np.intp]:
        """The label of every row of `X`, shape (m,): 1 where the score is positive, else 0.

        Of a perceptron, the label is 1 also where the score is 0.

        Of K >= 3 classes the code of the most probable one; if several are equally probable, the first.
        """
        z = self.decision_function(X, offset=offset, n_threads=n_threads)
        return codes_of(z, by_class=self.weights.ndim == 2, activation=self.activation)

    def trace_frame(self) -> Any:
        """The trace as a flat table with a row per update: a frame of pandas, else of polars, else a structured array.

        Its columns are ``epoch``, ``row``, ``y``, ``z``, ``y_hat``, ``error``, ``residual``, ``delta_weights_0`` and so
        on, ``delta_bias``, ``weights_0`` and so on, ``bias``; of updates of several rows ``row_0``, ``y_0``, ``z_0``
        and so on are those of the rows. Of K >= 3 classes ``z_0``, ``y_hat_0``, ``bias_0`` and so on are those of the
        classes, ``weights_1_0`` is the weight of class 1 for column 0, and of several rows ``z_2_1`` is the score of
        row 2 for class 1.

        Raises
        ------
        ValueError
            If there is no trace.

        Examples
        --------
        >>> descent = gradstep.Trainer(0.5, epochs=1, batch_size=1, trace=True).fit([[1.0], [-1.0]], [1, 0])
        >>> list(descent.trace_frame()["residual"].round(4))
        [0.5, -0.4378]
        >>> list(descent.trace_frame()["weights_0"].round(4))
        [0.25, 0.4689]
        """
        if self.trace is None:
            raise ValueError("trace must be recorded for a frame of it, by Trainer(trace=True), got None")
        columns: dict[str, Array] = {}
        for name in self.trace.dtype.names or ():
            values = self.trace[name]
            for place in np.ndindex(values.shape[1:]):
                columns["_".join(map(str, (name, *place)))] = np.ascontiguousarray(values[:, *place])
        for package in ("pandas", "polars"):
            try:
                return import_module(package).DataFrame(columns)
            except ModuleNotFoundError as error:
                if error.name != package:
                    raise
        records = np.empty(len(self.trace), [(name, numbers.dtype) for name, numbers in columns.items()])
        for name, numbers in columns.items():
            records[name] = numbers
        return records

    def _drawing(self) -> str:
        from gradstep import _notebook

        return _notebook.curve("loss" if self.activation == "sigmoid" else "misclassified", self.history)

    def _headline(self) -> str:
        return f"{self.n_epochs} epoch{'s' * (self.n_epochs != 1)}, stopped by '{self.stop_reason}'"

    def _facts(self) -> dict[str, str]:
        name = "loss" if self.activation == "sigmoid" else "misclassified"
        facts = {name: f"{self.history[-1]:.6g}"} if len(self.history) else {}
        if len(self.history) > 1:
            facts[name] += f", after the first epoch {self.history[0]:.6g}"
        facts |= Fitted._facts(self)
        if self.trace is not None:
            facts["trace"] = f"{len(self.trace)} updates: {', '.join(self.trace.dtype.names or ())}"
        return facts


@suggests_names
@dataclass(frozen=True, slots=True)
class Trainer:
    """Gradient descent: w <- w - α ∇E, batch by batch, epoch after epoch. A `Trainer` has the options; `fit` descends.

    Labels are in [0, 1], or the codes 0, 1, … K - 1 of K >= 3 classes: then the weights have shape (K, n), and softmax
    takes the place of the sigmoid.

    Parameters
    ----------
    learning_rate : float or "auto", default 0.1
        α, finite and positive. "auto": full batches, on columns scaled to equal curvature, with the step and the
        momentum that lower the objective most in each epoch. It ends at the optimum.
    epochs : int, default 100
        Passes over all rows.
    batch_size : int, optional
        Rows of one update: None for all of them, 1 for point by point, k for mini-batches, the last of which may be
        short.
    shuffle : bool, default False
        Visit the rows in a new random order in every epoch.
    seed : int, optional
        Seed of the random order, 0 to 2**64 - 1; only with ``shuffle=True``. If None, every fit draws a new seed.
    reduction : {"mean", "sum"}, default "mean"
        Whether the gradient is averaged or summed over the batch, Σ (ŷ_i - y_i) x_i.
    activation : {"sigmoid", "step"}, default "sigmoid"
        ŷ = σ(z), logistic regression; or ŷ = 1 if z >= 0 else 0, the perceptron, of two classes only. Of K >= 3
        classes "sigmoid" is the softmax, p_k = e^z_k / Σ e^z_l.
    l2 : float, default 0.0
        Strength λ >= 0 of the penalty (λ/2) ||w||² added to the mean error. The bias is not penalised.
    l1 : float, default 0.0
        Strength γ >= 0 of the penalty γ ||w||₁. After each update, every weight moves towards 0 by α γ, or to 0 if that
        is nearer. With ``reduction="sum"``, the weight moves by α γ times the number of rows in the batch.
    fit_bias : bool, default True
        Whether the bias is changed. If not, the bias stays 0.
    tol : float, default 0.0
        Stop after the first epoch where no component of the objective's gradient over all rows is larger than `tol`.
        0 stops no descent; but "auto" also ends where rounding leaves nothing to gain ("precision"), and where there is
        no optimum ("separated").
    n_threads : int, optional
        As in `gradstep`.
    trace : bool, default False
        Record every update. A trace of more than 1 GiB is refused before the first epoch, unless `tol` or a callback
        may end the descent earlier.
    path : bool, optional
        Keep the weights and the bias at the end of each epoch; by default if they take at most 1 MiB, or with a trace.
        A path of more than 1 GiB is refused as a trace is.

    Raises
    ------
    TypeError
        If an option is of another type.
    ValueError
        If an option is out of range, `seed` is given without ``shuffle=True``, or ``learning_rate="auto"`` comes with
        an option that has no meaning for it: `batch_size`, `shuffle`, `reduction`, `activation`, `l1` or `trace`.

    Notes
    -----
    Trainers with the same options are equal. They can be copied and pickled, and are not changed by a fit.

    Gradient descent is Cauchy's, 1847; by batches, Robbins and Monro's, 1951; the perceptron, Rosenblatt's, 1958.

    Examples
    --------
    >>> gradstep.Trainer(0.5, epochs=2).fit([[1.0], [-1.0]], [1, 0]).n_epochs
    2
    """

    learning_rate: float | Literal["auto"] = 0.1
    epochs: int = 100
    _: KW_ONLY
    batch_size: int | None = None
    shuffle: bool = False
    seed: int | None = None
    reduction: Literal["mean", "sum"] = "mean"
    activation: Literal["sigmoid", "step"] = "sigmoid"
    l2: float = 0.0
    l1: float = 0.0
    fit_bias: bool = True
    tol: float = 0.0
    n_threads: int | None = None
    trace: bool = False
    path: bool | None = None

    def __post_init__(self) -> None:
        for name, checked in _KINDS.items():
            object.__setattr__(self, name, checked(name, getattr(self, name)))
        if self.seed is not None and not self.shuffle:
            raise ValueError(f"seed must be None unless shuffle=True, got {self.seed}")
        _native.check_descent(self._options())
        if self.learning_rate == "auto":
            self._check_auto()

    @suggests_names
    def fit(
        self,
        X: Features,
        y: ArrayLike,
        weights: ArrayLike | None = None,
        bias: ArrayLike = 0.0,
        *,
        sample_weight: ArrayLike | None = None,
        offset: ArrayLike | None = None,
        callback: Callback | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> Descent:
        """Descend from `weights` and `bias`, which are not modified.

        Every update is w <- w - α (∇E + λ w) of its batch, b <- b - α ∂E/∂b: a `gradient_step` for each batch, epoch
        after epoch. Starting from the weights and the bias of a `Descent` resumes it.

        With sample weights s of mean s̄, row i counts s_i / s̄ times: of a batch of k rows, ∇E is
        Σ (s_i / s̄) (ŷ_i - y_i) x_i / k. With offsets, ŷ = σ(w·x + b + offset).

        Of K >= 3 classes the weights and the bias of class k change by these formulas, with p_k - [y = k] for ŷ - y.
        Here p_k is the predicted probability of class k, and [y = k] is 1 if the label is k, else 0.

        Parameters
        ----------
        X : features, shape (m, n)
            Finite; see `gradstep` for what features may be. Rows that do not fit into memory are read in batches, from
            any source that `gradstep.fit` can read, but they cannot be shuffled. Each epoch reads them once for its
            updates, and once more for its loss.
        y : array_like, shape (m,)
            Labels in [0, 1]; or codes 0, 1, … K - 1 of K >= 3 classes, each of which has a row of positive weight. As
            for `gradstep.fit`, the name of a column if `X` is a table that is read in batches, or None if `X` is a
            function that returns batches.
        weights : array_like, shape (n,) or (K, n), optional
            Finite weights to start from; zeros by default.
        bias : float or array_like of shape (K,), default 0.0
            Finite bias to start from; with K classes, a single number is the bias of each class.
        sample_weight : array_like, shape (m,), optional
            As in `gradstep`. The history is of the weighted mean error.
        offset : array_like, shape (m,), or (m, K) for K classes, optional
            Finite numbers that are added to the scores of the rows. Of float32 rows they are rounded to float32.
        callback : callable, optional
            Called after every epoch as ``callback(epoch, loss, weights, bias)``, with epochs counted from 0 and a copy
            of the weights. The descent stops when it returns True. An exception that it raises ends the fit.
        cache : str or path, optional
            A folder for a copy of the features, if `X` is read in batches: as for `gradstep.fit`.

        Returns
        -------
        Descent
            Weights, bias, the history of the loss, why it stopped, the trace and the path.

        Raises
        ------
        TypeError
            If an argument does not hold real numbers, or `callback` cannot be called.
        ValueError
            If shapes do not fit, `X` is empty, or values are not finite or out of range; of K >= 3 classes also with
            ``activation="step"``.
        MemoryError
            If the trace or the path would take more than 1 GiB and neither `tol` nor `callback` may end the descent
            earlier, or if it does not fit into memory.

        Examples
        --------
        >>> descent = gradstep.Trainer(0.5, epochs=1).fit([[1.0], [-1.0]], [1, 0])
        >>> descent.weights, descent.bias, str(descent.stop_reason)
        (array([0.25]), 0.0, 'epochs')
        >>> descent = gradstep.Trainer(0.5, epochs=1).fit([[1.0], [-1.0], [0.0]], [0, 1, 2])
        >>> descent.weights.round(3)
        array([[ 0.167],
               [-0.167],
               [ 0.   ]])
        """
        start = _start(weights, bias)
        matrix: Any
        source = None
        if is_source(X, y):
            source = opened(X, y, sample_weight, offset)
            labels, of_rows, names = source.y, [source.sample_weight, source.offset], source.feature_names
            shape, is_single = source.shape, source.is_single
        else:
            if cache is not None:
                raise ValueError(f"cache must be None where X is in memory, got {text(cache)}")
            matrix, labels, names = features(X), real("y", y), feature_names(X)
            of_rows = [optional_real("sample_weight", sample_weight), optional_real("offset", offset)]
            shape, dtype = (matrix[1], matrix[2].dtype) if isinstance(matrix, tuple) else (matrix.shape, matrix.dtype)
            is_single = dtype.kind == "f" and dtype.itemsize == 4
        if np.any(start[1]) and not self.fit_bias:
            raise ValueError(f"bias must be 0 with fit_bias=False, got {text(start[1])}")
        watch = observer(callback, lambda *seen: seen)
        trainer = self
        if self.shuffle and self.seed is None:
            trainer = replace(self, seed=int.from_bytes(os.urandom(8)))
        keeps_path = partial(self._keeps_path, shape, is_single, callback is None and not self.tol)
        keeps_path(1)  # with one score per row, the least: refuses what is too large for any labels, before native code
        try:
            with ExitStack() as reading:
                if source is not None:
                    matrix = native_rows(reading.enter_context(Reader(source.rows, cache)), source)
                found = _native.descend(trainer._options(), matrix, labels, of_rows, start, watch, keeps_path)
        except ValueError as error:
            raise explained(error, X if source is None else source, labels) from None
        found["stop_reason"] = StopReason(found["stop_reason"])
        found["start"] = Parameters(*found["start"])
        found["path"] = Parameters(*found["path"]) if found["path"] else None
        return Descent(**found, trainer=trainer, feature_names=names)

    def _options(self) -> Options:
        """The options as native code expects them. The seed is 0 if it is yet to be drawn."""
        return (
            None if self.learning_rate == "auto" else self.learning_rate,
            self.epochs,
            self.batch_size,
            (self.seed or 0) if self.shuffle else None,
            self.reduction,
            self.activation,
            (self.l1, self.l2, self.fit_bias),
            self.tol,
            self.n_threads,
            self.trace,
        )

    def _check_auto(self) -> None:
        """Raise for options that ask for something else than descent over full batches of the mean error."""
        for name in ("batch_size", "shuffle", "reduction", "activation", "l1", "trace"):
            needed, got = getattr(_PLAIN, name), getattr(self, name)
            if got != needed:
                raise ValueError(f"{name} must be {needed!r} with learning_rate='auto', got {got!r}")

    def _keeps_path(self, shape: tuple[int, ...], is_single: bool, is_certain: bool, scores: int) -> bool:
        """Whether a descent keeps its path; `shape` is that of `X`, and `scores` the number of scores of a row.

        Raises a MemoryError for a trace or path that is too large, but only if all epochs are certain to be run. An `X`
        of another shape than (m, n), or without rows, is refused later, by native code.
        """
        if len(shape) != 2 or not shape[0]:
            return bool(self.path)
        m, n = shape
        rows = min(self.batch_size or m, m)
        updates = self.epochs * -(-m // rows)
        number = 4 if is_single else 8
        # The trace has, for each update, its epoch and error, the change and the new value of each weight and bias, and
        # for each row of the batch the row's number, label, scores, predictions and residuals.
        of_trace = updates * (16 + 2 * number * scores * (n + 1) + rows * (8 + number * (1 + 3 * scores)))
        of_path = self.epochs * number * scores * (n + 1)
        if is_certain and self.trace:
            _check_size("trace", of_trace, f"{updates} updates")
        if is_certain and self.path:
            _check_size("path", of_path, f"{self.epochs} epochs")
        return of_path <= SMALL_PATH or self.trace if self.path is None else self.path


def _start(weights: Any, bias: Any) -> tuple[Array | None, float | Array]:
    """Weights and bias to start from, checked to be real numbers."""
    if weights is not None:
        return parameters(weights, bias)
    is_array = isinstance(bias, Sequence | np.ndarray) and not isinstance(bias, str | bytes) and np.ndim(bias) > 0
    return None, real("bias", bias) if is_array else number("bias", bias)


def _check_size(name: str, size: int, items: str) -> None:
    """Raise for a trace or path of more than `LARGEST_RECORD` bytes."""
    if size > LARGEST_RECORD:
        raise MemoryError(
            f"{name} must take at most {LARGEST_RECORD / 2**30:g} GiB, got {items} that take "
            f"{size / 2**30:.4g} GiB: fewer epochs, or a callback that keeps what is wanted"
        )


def _learning_rate(name: str, value: Any) -> float | Literal["auto"]:
    if not isinstance(value, str):
        return number(name, value)
    if value != "auto":
        raise TypeError(f"{name} must be a real number or 'auto', got the str '{value}'")
    return "auto"


_KINDS: dict[str, Callable[[str, Any], Any]] = {
    "learning_rate": _learning_rate,
    "epochs": count,
    "batch_size": optional_count,
    "shuffle": flag,
    "seed": optional_seed,
    "reduction": word,
    "activation": word,
    "l2": number,
    "l1": number,
    "fit_bias": flag,
    "tol": number,
    "n_threads": optional_count,
    "trace": flag,
    "path": optional_flag,
}
_PLAIN = Trainer()
