"""Fits many tables that are hard to fit, counts the verdicts and lists the seeds of false claims; --replay shows one.

python tests/hostile.py [--fits N] [--seed S] [--jobs J] [--json FILE]
python tests/hostile.py --replay SEED
"""

import sys

from helpers.hostile.runner import main

if __name__ == "__main__":
    sys.exit(main())
