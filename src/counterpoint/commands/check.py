"""`counterpoint check`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from counterpoint.commands.options import Parser
from counterpoint.commands.output_files import json_of
from counterpoint.commands.terminal import table, terminal
from counterpoint.errors import ConfigError
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import from_dict

if TYPE_CHECKING:
    from rich.console import Console

    from counterpoint.data.splits.leaks import LeakReport

LEAKS = 1
"""What the process ends with when the sides of a split share something."""
_EXAMPLES = 5


def main(words: list[str]) -> None:
    """Say what both sides of a dataset's split share: speakers, source videos, identical files."""
    parser = Parser("check", main.__doc__)
    parser.add_config()
    parser.add_argument("dataset", type=str, help="its name: counterpoint list datasets")
    parser.add_argument("--splits", type=str, help="folder of the dataset's lists, to be read without its media")
    own = json_of("dataset", "leaks", "splits")
    parser.add_output_file("write what was found to this JSON file as well", own)
    parser.add_class_arguments(DataConfig, "data")
    options = parser.parse(words)
    name = options["dataset"]
    if options["data"]["name"] not in (DataConfig.name, name):
        raise ConfigError(f"the dataset is {name}, but data.name is {options['data']['name']}; name one of the two")
    config = from_dict(DataConfig, {**options["data"], "name": name}, "data")
    if options["splits"] is not None and (config.root is not None or config.options):
        raise ConfigError("--splits reads lists alone; leave data.root and data.options out, or --splits")
    if find_and_print_leaks(config, options["splits"], options["output"]):
        raise SystemExit(LEAKS)


def find_and_print_leaks(config: DataConfig, splits: str | None, output: str | None) -> bool:
    """Compare the sides of a dataset's splits, and print what they share.

    Args:
        config: which dataset; with `splits` its name alone counts.
        splits: folder of lists to read instead of the dataset.
        output: JSON file for the figures as well.

    Returns:
        Whether anything is on both sides.
    """
    from counterpoint._atomic import write_json
    from counterpoint.data.splits.published import check_lists

    reports = [_with_a_bar(config)] if splits is None else check_lists(config.name, splits)
    console = terminal()
    for report in reports:
        _print(console, report)
    leaks = [leak for report in reports for leak in report.leaks]
    if output is not None:
        write_json(Path(output), {"dataset": config.name, "leaks": bool(leaks), "splits": to_dict(reports)})
    kinds = ", ".join(sorted({leak.what for leak in leaks}))
    console.print(f"Shared between splits: {kinds}." if leaks else "No leaks: the splits share nothing.")
    return bool(leaks)


def to_dict(reports: Sequence[LeakReport]) -> list[dict[str, Any]]:
    """Plain values for JSON, with everything that is shared."""
    return [
        {
            "name": report.name,
            "clips": report.clips,
            "overlaps": [
                {
                    "what": overlap.what,
                    "sides": list(overlap.sides),
                    "shared": len(overlap.shared),
                    "of": overlap.total,
                    overlap.unit.replace(" ", "_"): overlap.clips,
                    f"of_{overlap.unit.replace(' ', '_')}": overlap.all_clips,
                    "names": list(overlap.shared),
                }
                for overlap in report.overlaps
            ],
            "notes": list(report.notes),
        }
        for report in reports
    ]


def _with_a_bar(config: DataConfig) -> LeakReport:
    from counterpoint._progress import ProgressDisplay
    from counterpoint.data import load_table
    from counterpoint.data.splits.leaks import find_leaks, split_of

    clips = load_table(config.name, config.root, config.task, config.seed, **config.options)
    with ProgressDisplay() as display:
        return find_leaks(split_of(clips), display.callback("compare files"))


def _print(console: Console, report: LeakReport) -> None:
    sizes = ", ".join(f"{count} {side}" for side, count in report.clips.items())
    title = f"{report.name}: {sizes}"
    shown = table("what", "between", "on both sides", "touched", title=title, right=("on both sides", "touched"))
    for overlap in report.overlaps:
        unit = f"{overlap.sides[1]} clips" if overlap.unit == "clips" else overlap.unit
        shown.add_row(
            overlap.what,
            " and ".join(overlap.sides),
            f"{len(overlap.shared)} of {overlap.total}",
            f"{overlap.clips} of {overlap.all_clips} {unit}",
            style="bold red" if overlap.shared else None,
        )
    console.print(shown)
    for overlap in report.leaks:
        names = ", ".join(overlap.shared[:_EXAMPLES]) + (", ..." if len(overlap.shared) > _EXAMPLES else "")
        console.print(f"{overlap.what} in {' and '.join(overlap.sides)}: {names}", soft_wrap=True)
    for note in report.notes:
        console.print(f"Note: {note}", soft_wrap=True)
