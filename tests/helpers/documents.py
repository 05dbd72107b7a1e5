"""Model files' contents, of which tests and fuzzing spoil one part after the other."""

from typing import Any


def good() -> dict[str, Any]:
    return {
        "format": "gradstep-model",
        "version": 1,
        "formula": "p",
        "features": ["a", "b"],
        "target": "y",
        "classes": ["no", "yes"],
        "weights": [1.5, -2.0],
        "bias": 0.25,
        "standardize": {"mean": [1.0, 2.0], "scale": [3.0, 4.0]},
        "options": {"epochs": 10},
        "result": {"loss": 0.5, "aliased": ["b"]},
        "gradstep": "0.1.0",
    }


def good_of_three() -> dict[str, Any]:
    three = {"classes": ["a", "b", "c"], "weights": [[1.5, -2.0], [0.5, 0.0], [-2.0, 2.0]], "bias": [0.25, 0.5, -0.75]}
    return {**good(), **three}
