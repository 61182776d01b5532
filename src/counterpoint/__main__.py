"""``python -m counterpoint``."""

import sys

from counterpoint.cli import program

if __name__ == "__main__":
    sys.exit(program())
