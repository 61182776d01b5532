"""One of several processes that render; it prints a dot on a line of its own after each clip."""

from __future__ import annotations

import sys
from pathlib import Path

from counterpoint.data.talkers.plan import make_plan
from counterpoint.data.talkers.render import missing, read_settings, render_here


def main() -> None:
    """Render those clips that are missing from a folder and whose index is a part modulo the number of parts.

    The three are the arguments of the process.
    """
    folder, part, parts = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    settings = read_settings(folder)
    mine = [plan for plan in make_plan(settings) if plan.index % parts == part]
    render_here(missing(mine, folder), settings, folder, done=lambda: print(".", flush=True))
