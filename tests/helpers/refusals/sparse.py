"""Rows of the table of refusals about sparse matrices."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse

import gradstep
from helpers.matrices import broken
from helpers.refusals.rows import Kind, W, X, Y, refuse

DENSE_OR = "a dense array, or a SciPy CSR or CSC array or matrix, got scipy.sparse "
ONE_DIMENSION = scipy.sparse.csr_array(np.ones(3))
SPARSE: list[tuple[Any, Kind, str, str]] = [
    (scipy.sparse.coo_array(X), TypeError, "X", rf"{DENSE_OR}coo_array: convert it with .tocsr\(\)$"),
    (scipy.sparse.lil_matrix(X), TypeError, "X", rf"{DENSE_OR}lil_matrix: convert it with .tocsr\(\)$"),
    (scipy.sparse.bsr_array(X), TypeError, "X", rf"{DENSE_OR}bsr_array: convert it with .tocsr\(\)$"),
    (ONE_DIMENSION, ValueError, "X", r"2-dimensional, got shape \(3,\)$"),
    (scipy.sparse.csr_array(X * 1j), TypeError, "X.data", r"an array of real numbers, got dtype complex128$"),
    (scipy.sparse.csr_array((0, 3)), ValueError, "X", r"at least one row and one column, got shape \(0, 3\)$"),
    (scipy.sparse.csc_array((3, 0)), ValueError, "X", r"at least one row and one column, got shape \(3, 0\)$"),
]
for form, part, kind, facts, values in [
    ("csr", "indices", TypeError, "an array of integers, got dtype float64$", [0.0, 2, 3, 0, 1]),
    ("csr", "indices", ValueError, r"columns from 0 to 3, got 4 at position 2 \(row 1\)$", [0, 2, 4, 0, 1]),
    ("csr", "indices", ValueError, r"columns from 0 to 3, got -1 at position 3 \(row 2\)$", [0, 2, 3, -1, 1]),
    ("csr", "indices", ValueError, rf"columns from 0 to 3, got {2**62} at position 3 \(row 2\)$", [0, 2, 3, 2**62, 1]),
    ("csc", "indices", ValueError, r"rows from 0 to 3, got 4 at position 2 \(column 1\)$", [0, 2, 4, 0, 1]),
    ("csr", "indices", ValueError, r"length 5 \(one index per element of X.data\), got length 3$", [0, 2, 3]),
    ("csr", "indptr", ValueError, r"start at 0, got 1 at position 0$", [1, 2, 3, 5]),
    ("csr", "indptr", ValueError, r"not decrease, got 2 at position 2$", [0, 3, 2, 5]),
    ("csr", "indptr", ValueError, r"end within X.indices and X.data, got 6 at position 3$", [0, 2, 3, 6]),
    ("csr", "indptr", ValueError, r"length 4 \(one more than the rows of X\), got length 3$", [0, 2, 5]),
    ("csc", "indptr", ValueError, r"length 4 \(one more than the columns of X\), got length 3$", [0, 2, 5]),
    ("csr", "data", ValueError, r"1-dimensional, got shape \(1, 5\)$", [[1.0, 2, 3, 4, 5]]),
]:
    SPARSE.append((broken(form, **{part: values}), kind, f"X.{part}", facts))

negative = scipy.sparse.csr_array((3, 4))
negative._shape = (3, -4)
SPARSE.append((negative, ValueError, "X.shape", r"two integers from 0 on, got \(3, -4\)$"))
for matrix, kind, argument, facts in SPARSE:
    m, n = (max(1, length) for length in (*matrix.shape, 1)[:2])
    labels = np.arange(m) % 2
    for name, call in {
        "loss": lambda X, y, weights: gradstep.loss(X, y, weights),
        "loss_gradient": lambda X, y, weights: gradstep.loss_gradient(X, y, weights),
        "predict_proba": lambda X, y, weights: gradstep.predict_proba(X, weights),
        "fit": lambda X, y, weights: gradstep.fit(X, y),
        "fit, gd": lambda X, y, weights: gradstep.fit(X, y, solver="gd"),
        "Trainer": lambda X, y, weights: gradstep.Trainer(0.1, 1).fit(X, y),
        "Trainer, point by point": lambda X, y, weights: gradstep.Trainer(0.1, 1, batch_size=1).fit(X, y),
        "Trainer, traced": lambda X, y, weights: gradstep.Trainer(0.1, 1, batch_size=2, trace=True).fit(X, y),
    }.items():
        refuse(f"{name}, sparse", kind, argument, facts, call, matrix, labels, np.zeros(n))

CSR = scipy.sparse.csr_array(X)
refuse("loss, sparse", ValueError, "y", r"length 4 .*, got length 3$", gradstep.loss, CSR, Y[:3], W)
refuse("loss, sparse", ValueError, "weights", r"length 3 .*, got length 4$", gradstep.loss, CSR, Y, np.ones(4))
refuse("loss, sparse", ValueError, "y", r"\[0, 1\], got 2 at row 1$", gradstep.loss, CSR, [1, 2, 0, 0], W)
refuse("loss, sparse", TypeError, "y", "a dense array, got scipy.sparse csr_array$", gradstep.loss, CSR, CSR, W)
