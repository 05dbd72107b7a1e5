"""Rows of the table of refusals about functions that no other file beside this one has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

import gradstep
from helpers.refusals.rows import W, X, Y, Z, refuse, replaced

refuse("hessian", ValueError, "weights", r"length 3 .*, got length 2$", gradstep.hessian, X, W[:2])
refuse("hessian", ValueError, "sample_weight", r"got -1 at row 1$", gradstep.hessian, X, W, sample_weight=-Y)
SQUARE = np.array([[1.0, 2.0], [3.0, -1.0], [-1.0, 0.5], [0.0, 4.0]])
for kind, argument, facts, changed in [
    (ValueError, "X", r"no linear combinations of one another.*, got column 1, which is constant$",
     {"X": SQUARE[:, :1] ** [1, 0]}),
    (ValueError, "X", r"got column 1, which column 0 determines$", {"X": SQUARE[:, :1] * [1, 2], "bias": 3}),
    (ValueError, "X", r"got column 2, which columns 0, 1 determine$",
     {"X": SQUARE @ [[1, 0, 1], [0, 1, -2]], "weights": W}),
    (ValueError, "X", r"finite, got nan at row 1, column 0$", {"X": replaced(SQUARE, (1, 0), np.nan)}),
    (ValueError, "X", r"in units in which its covariance is finite, got .* too small$", {"X": SQUARE * 1e-310}),
    (ValueError, "X", r"at least one row and one column, got shape \(0, 2\)$", {"X": SQUARE[:0]}),
    (ValueError, "weights", r"length 2 \(one weight per column of X\), got length 3$", {"weights": W}),
    (ValueError, "weights", r"1-dimensional, got shape \(2, 1\)$", {"weights": W[:2, None]}),
    (TypeError, "bias", r"a real number, got list$", {"bias": [0.5]}),
    (TypeError, "bias", r"a real number, got ndarray of shape \(1,\)$", {"bias": np.array([0.5])}),
    (TypeError, "bias", r"a real number, got dtype <U3$", {"bias": np.array("0.5")}),
    (TypeError, "bias", r"a real number, got dtype complex128$", {"bias": np.complex128(0.5)}),
    (TypeError, "bias", r"a real number, got a masked array$", {"bias": np.ma.masked}),
    (ValueError, "sample_weight", r"finite and not negative, got -1 at row 1$", {"sample_weight": -Y}),
    (ValueError, "sample_weight", r"a positive sum, got only zeros$", {"sample_weight": np.zeros(4)}),
    (TypeError, "fit_bias", r"True or False, got int$", {"fit_bias": 1}),
    (ValueError, "n_threads", r"a positive integer \(at least 1\), got 0$", {"n_threads": 0}),
]:  # fmt: skip
    refuse("covariance", kind, argument, facts, gradstep.covariance, **{"X": SQUARE, "weights": W[:2], **changed})
OFFSET = np.array([0.0, np.nan, 0.0, 0.0])
for name, given in [
    ("loss", (X, Y, W)), ("gradient", (X, Y, W)), ("loss_gradient", (X, Y, W)), ("gradient_step", (X, Y, W, 0.0, 0.5)),
    ("hessian", (X, W)), ("covariance", (X, W)),
]:  # fmt: skip
    call = getattr(gradstep, name)
    refuse(name, ValueError, "offset", r"between −1e100 and 1e100, got nan at row 1$", call, *given, offset=OFFSET)
    refuse(name, ValueError, "offset", r"length 4 .*, got length 2$", call, *given, offset=np.zeros(2))
    refuse(name, ValueError, "offset", r"got rows of 2 numbers, for labels in \[0, 1\]$", call, *given,
           offset=np.zeros((4, 2)))  # fmt: skip
for name in ("decision_function", "predict_proba", "predict"):
    for one in (gradstep.fit(X, Y, l2=1.0), gradstep.Trainer(epochs=1).fit(X, Y)):
        refuse(name, ValueError, "offset", r"finite, got nan at row 1$", getattr(one, name), X, offset=OFFSET)
refuse("explain", ValueError, "x", r"one point, of shape \(n,\), got shape \(4, 2\)$", gradstep.explain,
       SQUARE, 1, W[:2], 0.0, 0.5)  # fmt: skip
refuse("show_config", ValueError, "mode", r"'stdout', 'dicts', got 'json'$", gradstep.show_config, mode="json")


def with_variable(name: str, value: str) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for variable in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
            patch.delenv(variable, raising=False)
        patch.setenv(name, value)
        return gradstep.sigmoid(Z)


for name in ("GRADSTEP_NUM_THREADS", "OMP_NUM_THREADS"):
    refuse("sigmoid", ValueError, name, "a positive integer, got 'two'$", with_variable, name, "two")

of_a_frame = gradstep.fit(pd.DataFrame({"a": [0.0, 1.0, 2.0, 3.0], "b": [1.0, 0.0, 1.0, 1.0]}), [0, 1, 0, 1], l2=0.1)
in_order = r"the columns of the fit in their order: column 0 is 'a' there, got 'b'$"
refuse("predict", ValueError, "X", in_order, of_a_frame.predict, pd.DataFrame({"b": [0.0], "a": [1.0]}))
