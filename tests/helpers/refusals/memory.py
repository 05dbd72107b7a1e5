"""What is refused because memory cannot hold it: arrays with strides of 0, whose shapes may be of any size."""

from __future__ import annotations

import numpy as np
import scipy.sparse

import gradstep
from helpers.refusals.rows import W, X, Y, refuse

ZERO = np.zeros(1)
refuse(
    "sigmoid",
    MemoryError,
    "z",
    rf"fit into memory, got shape \({2**55},\)$",
    gradstep.sigmoid,
    np.broadcast_to(ZERO, 2**55),
)
FAR = np.lib.stride_tricks.as_strided(ZERO, (3, 3), (2**62, 8))
refuse("predict_proba", ValueError, "X", "address space, got strides that leave it$", gradstep.predict_proba, FAR, W)
refuse("Trainer", MemoryError, "trace", f"at most 1 GiB, got {10**18} updates that take 2.235e.11 GiB: fewer epochs",
       gradstep.Trainer(epochs=10**18, trace=True).fit, X, Y)  # fmt: skip
TALL, LONG, BROAD = (np.broadcast_to(ZERO, shape) for shape in ((2**45, 1), 2**45, (1, 2**45)))
refuse("Trainer", MemoryError, "trace", f"at most 1 GiB, got {2**45 * 100} updates that take",
       gradstep.Trainer(batch_size=1, trace=True).fit, TALL, LONG)  # fmt: skip
for name, argument, facts, call, *given in [
    ("Trainer", "weights", f"got {2**45} columns of X$", gradstep.Trainer().fit, BROAD, [1]),
    (
        "Trainer",
        "trace",
        f"got {10**18} updates to record$",
        gradstep.Trainer(epochs=10**18, tol=1, trace=True).fit,
        X,
        Y,
    ),
    ("Trainer", "shuffle", f"got {2**45} rows", gradstep.Trainer(batch_size=1, shuffle=True).fit, TALL, LONG),
    ("Trainer", "weights", f"got {2**60} columns", gradstep.Trainer().fit, scipy.sparse.csr_array((2, 2**60)), [0, 1]),
    ("loss", "X", rf"got {2**60 + 1} row starts$", gradstep.loss, scipy.sparse.csc_array((2**60, 2)), [0, 1], W[:2]),
    (
        "hessian",
        "X",
        r"got \d+ elements of its Hessian$",
        gradstep.hessian,
        scipy.sparse.csr_array((1, 2**20)),
        np.zeros(2**20),
    ),
    (
        "covariance",
        "X",
        r"got \d+ elements of its covariance$",
        gradstep.covariance,
        scipy.sparse.csr_array((1, 2**20)),
        np.zeros(2**20),
    ),
    (
        "fit, firth",
        "X",
        r"got \d+ elements of its information$",
        lambda: gradstep.fit(scipy.sparse.csr_array((2, 2**20)), [0, 1], firth=True),
    ),
]:
    refuse(name, MemoryError, argument, f"fit into memory, {facts}", call, *given)
