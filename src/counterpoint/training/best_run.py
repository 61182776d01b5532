"""Which run of a comparison to take, where the comparison itself is named."""

from __future__ import annotations

import math
from pathlib import Path

from counterpoint.errors import RunError
from counterpoint.training import run_dir as files
from counterpoint.training.metrics import metrics_of
from counterpoint.training.place import runs_in


def best_run(folder: Path) -> tuple[Path, str]:
    """The finished run of a comparison that is best on validation data; of equals the one with the lowest loss.

    Modalities that were trained alone are there to be compared with, and count where there is nothing else.

    Args:
        folder: of a comparison.

    Returns:
        The run's folder, and its figure in words.

    Raises:
        RunError: no run is finished; the message names those that there are.
    """
    runs = runs_in(folder)
    scored: list[tuple[tuple[bool, float, float], Path, str]] = []
    for run in runs:
        result = files.read_result(run)
        if result is None:
            continue
        name, val = result["metric"], result["val"]
        metric = metrics_of(files.read_config(run).task, name)[name]
        value, loss = (-math.inf if math.isnan(value) else value for value in (metric.sign * val[name], -val["loss"]))
        alone = run.relative_to(folder).parts[0] == "alone"
        scored.append(((not alone, value, loss), run, f"{metric.heading} {metric.text(val[name])}"))
    if not scored:
        there = ", ".join(str(run) for run in runs[:10]) or "there is none"
        raise RunError(f"{folder} is a comparison without a finished run; go on with it by --resume. Its runs: {there}")
    _, run, said = max(scored, key=lambda each: each[0])
    return run, said
