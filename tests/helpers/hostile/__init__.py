"""Tables that are hard to fit, the truth about each of them, and what a fit claimed beside it.

`tables` makes a table from a seed. `oracles` finds its minimum, or that there is none, without gradstep:

* The columns are exact integers times powers of two. Which of them depend on the columns before them follows from
  elimination modulo a prime (`integers`).
* A linear change of parameters, T, makes the other columns nearly orthonormal. T is rounded, but the product X T is
  exact: the new parameters reach exactly the scores that the weights reach.
* Newton's method in these parameters, in extended precision, gives a value that the objective has: an upper bound of
  the minimum. A gap that such a value refutes is false, however well Newton's method converged.
* That a minimum exists is proved from the last iterate, because the loss is self-concordant. That none exists is proved
  by a direction from linear programming, with the rank of the rows on its hyperplane again modulo a prime.

`verdicts` compares what a fit claims with the truth, and `runner` does so for many tables.
"""
