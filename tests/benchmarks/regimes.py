"""The problems on which solvers are compared, and the objective they share.

The objective is the mean cross-entropy + l2/2 ‖W‖² + l1 ‖W‖₁, with either l2 or l1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse
from scipy.special import expit, logsumexp, softmax

from problem import Array
from sparse import texts
from timing import Settings


class Samples(NamedTuple):
    """Features, labels (0 and 1, or codes of more classes) and the penalty."""

    X: Any
    y: Array
    l2: float
    l1: float = 0.0

    @property
    def classes(self) -> int:
        return int(self.y.max()) + 1

    @property
    def kind(self) -> str:
        """What a solver must be able to read."""
        if self.classes > 2:
            return "softmax"
        of_features = "sparse" if scipy.sparse.issparse(self.X) else "dense"
        return of_features if self.l1 == 0 else f"{of_features} l1"

    def with_l1(self, part: float) -> Samples:
        """The same data with an l1 penalty: a part of the least strength for which all weights are 0."""
        residuals = self.y.mean() - self.y
        return self._replace(l2=0.0, l1=part * float(np.abs(self.X.T @ residuals).max()) / len(self.y))

    @property
    def size(self) -> str:
        stored = f", {self.X.nnz} nonzeros" if scipy.sparse.issparse(self.X) else ""
        return "×".join(map(str, self.X.shape)) + (f"×{self.classes}" if self.classes > 2 else "") + stored

    def objective(self, weights: Array, bias: Array) -> float:
        """The objective at these weights and biases, in float64 whatever the solver computed in."""
        weights, bias = np.asarray(weights, np.float64), np.asarray(bias, np.float64)
        if self.kind == "softmax":
            z = self.X @ weights.T + bias
            errors = logsumexp(z, axis=1) - z[np.arange(len(z)), self.y.astype(np.intp)]
        else:
            z = self.X @ weights.ravel() + bias.ravel()[0]
            errors = np.logaddexp(0, z) - self.y * z
        return float(errors.mean() + self.l2 / 2 * np.square(weights).sum() + self.l1 * np.abs(weights).sum())


@dataclass(frozen=True)
class Regime:
    """A problem, and how many times faster than the fastest peer gradstep should be on it.

    `l1_targets` are the targets with an l1 penalty, by the part of the least strength for which all weights are 0.
    """

    target: float
    make: Callable[[Settings], Samples]
    l1_targets: Mapping[float, float] = field(default_factory=dict)


def tall(settings: Settings) -> Samples:
    random = np.random.default_rng(7)
    return labelled(random.standard_normal((settings.rows(1_000_000), 28)), random, 1e-6)


def mid(settings: Settings) -> Samples:
    """Correlated columns, ill-conditioned."""
    n = 200
    random = np.random.default_rng(7)
    X = random.standard_normal((settings.rows(100_000), n))
    return labelled(X @ (0.3 * random.standard_normal((n, n)) + np.eye(n)), random, 1e-5)


def wide(settings: Settings) -> Samples:
    """Columns of scales from e⁻² to e²."""
    n = settings.rows(1000)
    random = np.random.default_rng(7)
    X = random.standard_normal((settings.rows(20_000), n))
    return labelled(X * np.exp(random.uniform(-2, 2, n)), random, 1e-4)


def few(settings: Settings) -> Samples:
    """Few rows, ten times as many columns."""
    random = np.random.default_rng(7)
    return labelled(random.standard_normal((500, settings.rows(5000))), random, 1e-3)


def genes(settings: Settings) -> Samples:
    """Few rows of many columns."""
    random = np.random.default_rng(7)
    return labelled(random.standard_normal((100, settings.rows(50_000))), random, 1e-2)


def spectra(settings: Settings) -> Samples:
    """Few rows of many columns, of scales from 1e-3 to 1e3."""
    n = settings.rows(20_000)
    random = np.random.default_rng(7)
    return labelled(random.standard_normal((300, n)) * 10.0 ** random.uniform(-3, 3, n), random, 1e-3)


def tiny(settings: Settings) -> Samples:
    random = np.random.default_rng(7)
    return labelled(random.standard_normal((400, 6)), random, 1e-3)


def sparse(settings: Settings) -> Samples:
    """Sparse rows like texts: some columns, as some words, are in many rows, most columns in few."""
    random = np.random.default_rng(7)
    X = scipy.sparse.csr_matrix(texts(random, settings.rows(200_000), settings.rows(50_000)))  # all peers read it
    return labelled(X, random, 1e-5, spread=None)


def digits(settings: Settings) -> Samples:
    """The images of handwritten digits that come with scikit-learn, unscaled."""
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return Samples(X, y.astype(np.float64), 1e-3)


def images(settings: Settings) -> Samples:
    """Ten classes of the size of MNIST: columns of different scales that share a few dozen common factors."""
    random = np.random.default_rng(7)
    m, n, classes, factors = settings.rows(60_000), settings.rows(784), 10, 40
    X = random.standard_normal((m, factors)) @ random.standard_normal((factors, n)) / np.sqrt(factors)
    X += random.standard_normal((m, n))
    X *= np.exp(random.uniform(-1, 1, n))
    W = random.standard_normal((classes, n))
    z = X @ W.T
    probabilities = softmax(z * (2 / z[:10_000].std()), axis=1)
    y = (random.random((m, 1)) > probabilities.cumsum(axis=1)).sum(axis=1).clip(max=classes - 1)
    return Samples(X, y.astype(np.float64), 1e-4)


def hundred(settings: Settings) -> Samples:
    """A hundred classes."""
    return of_classes(settings.rows(20_000), 50, 100, 0.3, 1e-4)


def hundreds(settings: Settings) -> Samples:
    """Hundreds of classes, of a few rows each."""
    return of_classes(settings.rows(2000), 20, 341, 1.0, 1e-3)


def of_classes(m: int, n: int, classes: int, spread: float, l2: float) -> Samples:
    """Labels of a random model; classes without a row are left out."""
    random = np.random.default_rng(7)
    X = random.standard_normal((m, n))
    z = X @ random.normal(scale=spread, size=(classes, n)).T + random.gumbel(size=(m, classes))
    _, y = np.unique(z.argmax(axis=1), return_inverse=True)
    return Samples(X, y.astype(np.float64), l2)


def labelled(X: Any, random: np.random.Generator, l2: float, spread: float | None = 2.0) -> Samples:
    """Labels of a random model with bias -0.5. Its scores have this `spread`; with None its weights are 3 × normal."""
    weights = random.standard_normal(X.shape[1])
    weights *= 3 if spread is None else spread / np.std(X[:10_000] @ weights)
    y = random.random(X.shape[0]) < expit(X @ weights - 0.5)
    return Samples(X, y.astype(np.float64), l2)


REGIMES = {
    "tall": Regime(4, tall, {0.1: 8, 0.01: 5}),
    "mid": Regime(5, mid, {0.1: 12, 0.01: 15}),
    "wide": Regime(12, wide, {0.1: 3, 0.01: 2}),
    "sparse": Regime(5, sparse, {0.1: 3, 0.01: 4}),
    "few": Regime(5, few, {0.1: 3, 0.01: 6, 0.001: 3}),
    "genes": Regime(5, genes),
    "spectra": Regime(5, spectra),
    "tiny": Regime(5, tiny),
    "digits": Regime(3, digits),
    "images": Regime(3, images),
    "hundred": Regime(8, hundred),
    "hundreds": Regime(8, hundreds),
}


def write(samples: Samples, folder: Path) -> None:
    """Write the samples to files in this folder, for another process."""
    if scipy.sparse.issparse(samples.X):
        scipy.sparse.save_npz(folder / "X.npz", samples.X, compressed=False)
    else:
        np.save(folder / "X.npy", samples.X)
    np.save(folder / "y.npy", samples.y)
    np.save(folder / "penalty.npy", [samples.l2, samples.l1])


def read(folder: Path) -> Samples:
    file = folder / "X.npz"
    X = scipy.sparse.load_npz(file) if file.exists() else np.load(folder / "X.npy")
    return Samples(X, np.load(folder / "y.npy"), *np.load(folder / "penalty.npy").tolist())
