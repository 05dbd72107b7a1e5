"""Entry point of the command line: `gradstep` and `python -m gradstep`."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line and exit with its exit code."""
    try:
        from gradstep._cli import run
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in ("click", "polars", "rich"):
            raise
        print(f"gradstep: error: the command line needs {library}: pip install 'gradstep[cli]'", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(run())


if __name__ == "__main__":
    main()
