"""One of several processes that render: ``python -m counterpoint.data.talkers.worker FOLDER PART PARTS``.

Prints a dot on a line of its own after each clip.
"""

from __future__ import annotations

import sys
from pathlib import Path

from counterpoint.data.talkers.plan import make_plan
from counterpoint.data.talkers.render import missing, read_settings, render_here


def main(folder: Path, part: int, parts: int) -> None:
    """Render those clips that are missing from `folder` and whose index is `part` modulo `parts`."""
    settings = read_settings(folder)
    mine = [plan for plan in make_plan(settings) if plan.index % parts == part]
    render_here(missing(mine, folder), settings, folder, done=lambda: print(".", flush=True))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
