"""Makes the pictures of gallery.md: runs its examples, and saves the figure that was drawn last before each picture.

They go into the folder `pictures` beside the page, or within the folder that is given.
"""

import doctest
import re
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")  # draws into files, on any machine

from matplotlib import pyplot

PAGE = Path(__file__).with_name("gallery.md")
PART = re.compile(r"^```python\n(?P<code>.*?)^```$|^<img src=\"(?P<picture>[^\"]+)\"", re.MULTILINE | re.DOTALL)


def main(folder: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    session: dict[str, object] = {}
    for part in PART.finditer(page):
        if part["code"]:
            for example in doctest.DocTestParser().get_examples(part["code"]):
                exec(example.source, session)
        else:
            path = folder / part["picture"]
            path.parent.mkdir(parents=True, exist_ok=True)
            pyplot.savefig(path, dpi=160)
            pyplot.close("all")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else PAGE.parent)
