"""Pictures of gradient descent and of what it finds (extra ``plot``).

Each function draws one picture with matplotlib, in a new figure or into the Axes given as `ax`, and returns the Axes.
Every number in a picture comes from the formulas and results of `gradstep`. Colours can be told apart with any colour
vision; markers and line styles differ too.

Examples
--------
>>> import gradstep
>>> X, y = [[0.0, 1.0], [1.0, 0.0], [2.0, 1.0], [3.0, 3.0]], [0, 0, 1, 1]
>>> descent = gradstep.Trainer(0.5, epochs=100).fit(X, y)
>>> ax = gradstep.plot.lines(descent, X, y)
>>> ax.get_title()
'Decision lines'
"""

try:
    import matplotlib  # noqa: F401 - what follows needs it
except ModuleNotFoundError as error:
    if error.name != "matplotlib":
        raise
    needed = "gradstep.plot needs matplotlib 3.8 or newer: pip install 'gradstep[plot]'"
    raise ImportError(needed, name=error.name) from error

from gradstep.plot._columns import lines, perceptron, regions
from gradstep.plot._evaluation import calibration, coefficients, evaluation, roc
from gradstep.plot._history import learning_rates, loss
from gradstep.plot._overview import training
from gradstep.plot._path import path
from gradstep.plot._surface import surface
from gradstep.plot._textbook import gradient_sizes, sigmoid

__all__ = [
    "calibration",
    "coefficients",
    "evaluation",
    "gradient_sizes",
    "learning_rates",
    "lines",
    "loss",
    "path",
    "perceptron",
    "regions",
    "roc",
    "sigmoid",
    "surface",
    "training",
]
