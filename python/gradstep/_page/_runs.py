"""The descents of a page: of one trainer with many learning rates, with the sigmoid and with the step."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradstep._arrays import Array, Features, matrix, real
from gradstep._descent import Descent, Trainer
from gradstep._fitted import StopReason

RATES = [float(f"{first}e{power}") for power in range(-3, 3) for first in (1, 1.8, 3.2, 5.6)] + [1000.0]
"""Learning rates to choose from; the descent's own rate replaces the nearest of them."""
Activation: TypeAlias = Literal["sigmoid", "step"]
ACTIVATIONS: tuple[Activation, ...] = ("sigmoid", "step")

MOST_ROWS = 2000
MOST_NUMBERS = 2**19
"""The rows of a page have at most this many numbers, and so have the paths of all its runs together: 4 MiB for each."""
MOST_VISITS = 2**20
"""A page has the order of the rows in each epoch only if the rows times the epochs are at most this many: 2 MiB."""
LARGEST_PATH = 2**22
"""The largest number of numbers in one path."""
MOST_WORK = 2**31
"""All runs together read at most about this many elements of `X`."""
MOST_GROWTH = 100.0
"""The script of the page repeats the updates. Where its rounding errors could grow by more than this factor within an
epoch, the page also has the weights and the bias after some of the updates."""
MOST_TRACED = 2**24
"""The largest number of numbers in the trace of a run. The trace shows after which updates a page needs the weights."""


class Data(NamedTuple):
    """The data that the descent was fitted to, and the rows that the page shows."""

    X: Any
    y: Array
    rows: NDArray[np.intp]
    shown: Array
    """The rows of `X` that the page shows, in float64."""
    is_whole: bool
    """Whether the page can compute updates: it has all rows, and their order in each epoch if they are shuffled."""

    @classmethod
    def of(cls, X: Features, y: ArrayLike, trainer: Trainer) -> Data:
        values = matrix(X)
        m, n = values.shape
        rows = np.arange(m)
        most = min(MOST_ROWS, max(1, MOST_NUMBERS // n))
        if m > most:
            rows = np.sort(np.random.default_rng(0).choice(m, most, replace=False))
        some = values[rows]
        shown = np.asarray(some if isinstance(some, np.ndarray) else some.toarray(), np.float64)
        has_order = not trainer.shuffle or trainer.epochs * m <= MOST_VISITS
        return cls(values, real("y", y), rows, shown, len(rows) == m and has_order)


class Run(NamedTuple):
    """A descent; and the weights and the bias after those updates within its epochs for which the page needs them."""

    descent: Descent
    errors: Array
    """The mean error at the start and after each epoch."""
    marks: NDArray[np.intp]
    """The numbers of the updates after which the page has the weights and the bias, shape (k,)."""
    marked: Array
    """The weights and the bias after these updates, shape (k, n + 1)."""

    @property
    def path(self) -> Array:
        """The weights and the bias at the start and at the end of each epoch, shape (n_epochs + 1, n + 1)."""
        start, path = self.descent.start, self.descent.path
        assert path is not None
        return np.vstack([[*start.weights, start.bias], np.column_stack(path)]).astype(np.float64)


def same_again(descent: Descent, X: Features, y: ArrayLike) -> tuple[Trainer, Descent]:
    """A trainer that repeats the descent without a callback, and keeps its path; and the descent that it makes."""
    trainer = replace(descent.trainer, trace=False, path=True)
    if trainer.l1 or not trainer.fit_bias:
        got = f"l1={trainer.l1:g} and fit_bias={trainer.fit_bias}"
        raise ValueError(f"descent must be without l1 and with a bias for a page, got {got}")
    if descent.stop_reason is StopReason.CALLBACK:
        trainer = replace(trainer, epochs=descent.n_epochs)
    numbers = trainer.epochs * (len(descent.weights) + 1)
    if numbers > LARGEST_PATH:
        raise ValueError(
            f"descent must have a path of at most {LARGEST_PATH} numbers for a page, got {trainer.epochs} epochs of "
            f"{len(descent.weights)} weights and a bias: fewer epochs, or fewer columns"
        )
    own = trainer.fit(X, y, *descent.start)
    ours, theirs = (np.concatenate([each.weights, [each.bias], each.history]) for each in (own, descent))
    if not np.array_equal(ours, theirs):
        raise ValueError("X and y must be what the descent was fitted to, got others: they lead to other weights")
    return trainer, own


def choices(trainer: Trainer, m: int, n: int) -> tuple[list[float], list[Activation]]:
    """The learning rates and activations of the runs, the trainer's own among them. There are fewer of them if all runs
    would take too much memory or time."""
    numbers, work = trainer.epochs * (n + 2), trainer.epochs * m * n
    runs = min(MOST_NUMBERS // numbers, MOST_WORK // work)
    activations = list(ACTIVATIONS) if runs > 1 else [trainer.activation]
    own = float(trainer.learning_rate)
    others = sorted(RATES, key=lambda rate: abs(np.log(rate / own)))[1 : max(1, runs // len(activations))]
    return sorted({own, *others}), activations


def runs_of(trainer: Trainer, activation: Activation, rates: list[float], own: Descent, data: Data) -> list[Run]:
    """A descent for each learning rate, from the start of `own`."""
    m, n = data.X.shape
    updates = -(-m // min(trainer.batch_size or m, m))
    is_traced = data.is_whole and updates > 1 and trainer.epochs * (updates * (2 * n + 5) + 5 * m) <= MOST_TRACED
    norms = 1 + (data.shown**2).sum(axis=1)
    found = []
    for rate in rates:
        one = replace(trainer, activation=activation, learning_rate=rate, trace=is_traced)
        run = one.fit(data.X, data.y, *own.start)
        marks = _marks(run, updates, norms)
        marked = np.empty((0, n + 1))
        if run.trace is not None:
            marked = np.column_stack([run.trace["weights"], run.trace["bias"]])[marks - 1]
        errors = np.append(run.start_loss, run.history)
        found.append(Run(replace(run, trainer=replace(one, trace=False), trace=None), errors, marks, marked))
    return found


def _marks(run: Descent, updates: int, norms: Array) -> NDArray[np.intp]:
    """The marks of a descent: the numbers of updates after which rounding errors have grown by about `MOST_GROWTH`.

    The growth is counted from the mark before it, or from the beginning of the epoch. `updates` is the number of
    updates in an epoch, and `norms` are the ‖(x, 1)‖² of the rows. An update multiplies an error of the weights by the
    matrix I - α (H + λ I), with the learning rate α and l2 = λ. H is the Hessian of the batch: its trace is
    mean(σ' ‖(x, 1)‖²), and no eigenvalue is negative. Errors of a perceptron do not grow, unless rounding decides on
    which side of 0 a score is. Without a trace there are no marks.
    """
    trace, trainer = run.trace, run.trainer
    if trace is None or not run.n_epochs:
        return np.empty(0, np.intp)
    trace = trace[: run.n_epochs * updates]  # leaves out the updates of an epoch that diverged
    rows, z, y_hat = (trace[name].reshape(len(trace), -1) for name in ("row", "z", "y_hat"))
    if trainer.activation == "step":
        nothing = 1e-9 * np.sqrt(norms.max()) * np.abs(trace["weights"]).max()
        growth = np.where((np.abs(z) <= nothing).any(axis=1), MOST_GROWTH, 1.0)
    else:
        slopes = np.where(rows < 0, 0.0, y_hat * (1 - y_hat) * norms[rows]).sum(axis=1)
        slopes /= (rows >= 0).sum(axis=1) if trainer.reduction == "mean" else 1
        growth = np.clip(float(trainer.learning_rate) * (slopes + trainer.l2) - 1, 1.0, MOST_GROWTH)
    grown = np.floor((np.log(growth) / np.log(MOST_GROWTH)).reshape(-1, updates).cumsum(axis=1))
    passed = np.diff(grown, axis=1, prepend=0) > 0
    passed[:, -1] = False  # the weights at the end of an epoch are in the path
    return np.flatnonzero(passed) + 1


def order(trainer: Trainer, data: Data) -> NDArray[np.uint16] | None:
    """The order of the rows in each epoch, if the page needs it to compute updates of shuffled batches; else None."""
    m = len(data.rows)
    if not (trainer.shuffle and data.is_whole and trainer.batch_size and trainer.batch_size < m):
        return None
    # The order depends on the seed and the number of rows alone: it is read from the trace of a descent on other rows.
    visits = Trainer(1.0, trainer.epochs, batch_size=1, shuffle=True, seed=trainer.seed, trace=True)
    trace = visits.fit(np.zeros((m, 1)), np.full(m, 0.5)).trace
    assert trace is not None
    return trace["row"].astype("<u2")
