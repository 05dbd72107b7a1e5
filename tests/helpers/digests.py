"""Digests of results. Run as a program, it reads cases, one a line, and answers with their digests."""

from __future__ import annotations

import hashlib
import json
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

import gradstep

DENSE = ("C", "F", "strided", "reversed", "frame")
SPARSE = ("csr", "csr64", "csc")


@dataclass(frozen=True)
class Case:
    """What is computed (`formula`, of random numbers) and how (`layout`, `n_threads`)."""

    formula: str
    m: int
    n: int
    dtype: str
    layout: str
    n_threads: int
    weighted: bool = False
    seed: int = 7


def digest(case: Case) -> str:
    random = np.random.default_rng(case.seed)
    dtype = np.dtype(case.dtype)
    X = random.standard_normal((case.m, case.n), dtype=dtype)
    if case.layout in SPARSE:
        X[random.random(X.shape) < 0.8] = 0
    K = 3 if case.formula in ("classes", "descent of classes") else 1
    y = random.integers(0, max(K, 2), case.m).astype(dtype)
    weights = (random.standard_normal((K, case.n)) / case.n**0.5).astype(dtype)
    bias = np.linspace(-0.3, 0.2, K).astype(dtype)
    if K == 1:
        weights, bias = weights[0], bias[0]
    options: dict[str, Any] = {"n_threads": case.n_threads}
    if case.weighted:
        options["sample_weight"] = random.integers(0, 4, case.m).astype(dtype) + dtype.type(0.5)
    x = laid_out(X, case.layout)
    if case.formula == "hessian":
        results = (gradstep.hessian(x, weights, bias, **options),)
    elif case.formula == "covariance":
        try:
            results = (gradstep.covariance(x, weights, bias, **options),)
        except ValueError as error:  # a refusal, of too few rows
            results = (np.array([str(error)]),)
    elif case.formula.startswith("descent"):
        y[:K] = range(min(K, case.m))
        parts = []
        for batch_size in (None, 1, 7):
            trainer = gradstep.Trainer(0.1, 2, batch_size=batch_size, l2=0.01, path=True, n_threads=case.n_threads)
            counts = options.get("sample_weight")
            try:
                descent = trainer.fit(x, y, weights, bias, sample_weight=counts)
            except ValueError as error:  # a refusal, of too few rows for three classes
                parts.append(np.array([str(error)]))
                continue
            parts += [descent.weights, descent.bias, descent.history, *descent.path]
        results = tuple(parts)
    elif case.formula == "predict_proba":
        z = gradstep.decision_function(x, weights, bias, n_threads=case.n_threads)
        results = (z, gradstep.predict_proba(x, weights, bias, n_threads=case.n_threads))
    else:
        results = gradstep.loss_gradient(x, y, weights, bias, **options)
    return hashlib.sha256(b"".join(np.asarray(part).tobytes() for part in results)).hexdigest()


def laid_out(X: Any, layout: str) -> Any:
    m, n = X.shape
    match layout:
        case "C":
            return X
        case "F":
            return np.asfortranarray(X)
        case "strided":
            wide = np.full((m, 2 * n + 1), np.nan, X.dtype)
            wide[:, 1::2] = X
            return wide[:, 1::2]
        case "reversed":
            return np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1]
        case "frame":
            return pd.DataFrame(X)
        case "csr" | "csr64":
            rows = scipy.sparse.csr_array(X)
            if layout == "csr64":
                rows.indices, rows.indptr = rows.indices.astype(np.int64), rows.indptr.astype(np.int64)
            return rows
        case _:
            return scipy.sparse.csc_array(X)


if __name__ == "__main__":
    for line in sys.stdin:
        print(digest(Case(**json.loads(line))), flush=True)
