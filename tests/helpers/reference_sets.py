"""The reference sets: real tables, whose optima independent tools have found."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_svmlight_file

Array = npt.NDArray[Any]

# The names of all sets of two classes that are dense tables. They are written down so that a missing set is noticed.
BINARY_SETS = [
    "admissions", "german", "iris_vv", "isl_default", "lgb_binary", "mammography", "menarche", "pima_tr", "skin",
    "spector", "titanic", "udacity_gd", "wdbc",
]  # fmt: skip


def read(folder: Path) -> tuple[Array, Array, Array | None]:
    with open(folder / "data.csv") as file:
        header = file.readline().strip().split(",")
        values = np.loadtxt(file, delimiter=",", ndmin=2)
    weight = values[:, header.index("_weight")] if "_weight" in header else None
    features = [column for column, name in enumerate(header) if name not in ("_weight", "y")]
    return values[:, features], values[:, header.index("y")], weight


def read_classes(folder: Path, columns: int) -> tuple[Any, Array, Array | None]:
    if (folder / "data.csv").exists():
        return read(folder)
    X, y = load_svmlight_file(str(folder / "data.svm"), n_features=columns, zero_based=False)
    return X, y, None
