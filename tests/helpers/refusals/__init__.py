"""What is refused: one table for every argument of every public function.

Every message reads "<argument> must <what was expected>, got <what came>". A row of the table has the name of a
function, the type of the exception, the argument, a regular expression for the facts that the message must state
(what was expected before what came), and the call.
Messages about files and the command line have tables of their own in `cli/test_model_file.py` and `cli/test_errors.py`.
"""

# Each of these modules adds its rows when it is imported; rows are numbered in this order.
from helpers.refusals import (  # noqa: I001
    arguments, training, classes, sparse, functions, memory, paths, estimator, cross_validation, inference,  # noqa: F401
    many, pictures, page, sources,  # noqa: F401
)  # fmt: skip
from helpers.refusals.rows import EVERYTHING, ROWS, X, Y, replaced

__all__ = ["EVERYTHING", "ROWS", "X", "Y", "replaced"]
