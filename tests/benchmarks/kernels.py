"""How fast gradstep is, against its peers and against the memory, all measured in one run.

    python tests/benchmarks/kernels.py [--quick] [--json FILE] [TOPIC ...]

Times are medians of interleaved repetitions. Targets hold for two threads on two cores with AVX-512.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import calls
import dense
import elementwise
import gram
import points
import scaling
import sparse
from timing import Figure, Settings, line, write

TOPICS: dict[str, Callable[[Settings], Iterator[Figure]]] = {
    "dense": dense.figures,
    "calls": calls.figures,
    "gram": gram.figures,
    "elementwise": elementwise.figures,
    "points": points.figures,
    "scaling": scaling.figures,
    "sparse": sparse.figures,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("topics", nargs="*", metavar="TOPIC", help=f"some of {', '.join(TOPICS)}; all by default")
    parser.add_argument("--quick", action="store_true", help="a tenth of the rows: to see that everything runs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures to a file, too")
    options = parser.parse_args()
    unknown = [topic for topic in options.topics if topic not in TOPICS]
    if unknown:
        parser.error(f"TOPIC must be one of {', '.join(TOPICS)}, got {unknown[0]}")
    settings = Settings(options.quick)
    figures = []
    for topic in options.topics or TOPICS:
        for figure in TOPICS[topic](settings):
            figures.append(figure)
            print(line(figure), flush=True)
    missed = sum(not figure.reached for figure in figures)
    print(f"{len(figures) - missed} of {len(figures)} targets reached")
    if options.json:
        write(options.json, figures, settings)


if __name__ == "__main__":
    main()
