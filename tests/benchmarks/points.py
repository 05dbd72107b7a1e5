"""An epoch of descent point by point, in file order, against scikit-learn's SGDClassifier."""

from __future__ import annotations

from collections.abc import Iterator

from sklearn.linear_model import SGDClassifier

import gradstep
from problem import random_problem
from timing import Figure, Settings, at_least, medians

EPOCHS = 5


def figures(settings: Settings) -> Iterator[Figure]:
    for n in (2, 28):
        m = settings.rows(200_000)
        problem = random_problem(m, n)
        trainer = gradstep.Trainer(0.01, EPOCHS, batch_size=1)
        peer = SGDClassifier(
            loss="log_loss", penalty=None, learning_rate="constant", eta0=0.01, shuffle=False, max_iter=EPOCHS, tol=None
        )
        rivals = {
            "gradstep": lambda trainer=trainer, problem=problem: trainer.fit(problem.X, problem.y),
            "SGDClassifier": lambda peer=peer, problem=problem: peer.fit(problem.X, problem.y),
        }
        seconds = medians(rivals, settings.repeats(15))
        each = {name: total / EPOCHS / m for name, total in seconds.items()}
        yield at_least(2.0, f"point by point, {m}×{n}, a point: SGDClassifier ÷ gradstep", each, "SGDClassifier")
