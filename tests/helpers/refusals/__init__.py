"""What is refused: one table for every argument of every public function.

Every message reads "<argument> must <what was expected>, got <what came>". A row is: where, the type of the
exception, the argument, a regular expression for the facts the message has to state (expected before got), the call.
Messages about files and the command line have tables of their own in `cli/test_model_file.py` and `cli/test_errors.py`.
"""

# Each of them adds its rows, which are numbered in this order.
from helpers.refusals import (  # noqa: I001
    arguments, training, classes, sparse, functions, memory, paths, estimator, cross_validation, inference,  # noqa: F401
    many, pictures, page, sources,  # noqa: F401
)  # fmt: skip
from helpers.refusals.rows import EVERYTHING, ROWS, X, Y, replaced

__all__ = ["EVERYTHING", "ROWS", "X", "Y", "replaced"]
