"""`counterpoint reproduce`."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.commands.code import remembered
from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.runs import allocate_largely, place_in
from counterpoint.commands.terminal import plain_table, terminal
from counterpoint.errors import ConfigError, RunError
from counterpoint.experiments.config import CompareConfig

if TYPE_CHECKING:
    from counterpoint.recipes import PaperTable


def main(words: list[str]) -> None:
    """Run a whole table of a paper, or go on with it, and print its figures beside the measured ones."""
    parser = Parser("reproduce", main.__doc__)
    parser.add_config()
    parser.add_argument("table", type=str, nargs="?", help="e.g. 000:table1 or simam2:table1; none: what there is")
    parser.add_argument("--data-root", type=str, help="folder of the dataset, or of several by their names")
    parser.add_argument("--dataset", type=str, help="of a table over several, this one alone, e.g. cremad")
    parser.add_argument("--runs", type=str, default="runs", help="folder of all runs")
    parser.add_argument("--smoke", action="store_true", help="try every row on tiny made data; no table: all of them")
    parser.add_argument("--output", type=str, help="with --smoke: folder that is kept")
    parser.add_class_arguments(CompareConfig, None)
    options = parser.parse(words)

    from counterpoint.recipes import find_tables

    if options["dataset"] and not options["table"]:
        raise ConfigError("--dataset chooses among those of a table; name one")
    if options["smoke"] and options["data_root"]:
        raise ConfigError("--smoke makes its own data; leave --data-root out")
    if options["output"] and not options["smoke"]:
        raise ConfigError("--output is for --smoke; runs are in the folder --runs")
    tables = find_tables(options["table"], options["dataset"]) if options["table"] else []
    if options["smoke"]:
        allocate_largely()
        smoke_tables([table.name for table in tables] or None, options["output"])
        return
    if not tables:
        print_tables()
        return
    allocate_largely()

    def read(table: PaperTable) -> CompareConfig:
        config = config_of(CompareConfig, parser.parse(["--config", json.dumps(table.compare), *words]))
        config.base = remembered(config.base)
        return config

    reproduce_tables(tables, read, options["data_root"], options["runs"])


def print_tables() -> None:
    """What there is to reproduce, and on which data."""
    from counterpoint.recipes import load_table, printed_tables
    from counterpoint.recipes.tables import PAPERS

    numbers = {name: number for number, name in PAPERS.items()}
    shown = plain_table("table", "also", "dataset", "rows", "", right=("rows",))
    for printed, names in printed_tables().items():
        paper, _, which = printed.partition(":")
        for k, name in enumerate(names):
            table = load_table(name)
            short = (printed, f"{numbers[paper]}:{which}") if k == 0 else ("", "")
            shown.add_row(*short, table.data, str(len(table.compare["methods"])), table.title)
    console = terminal()
    console.print(shown)
    console.print("\ncounterpoint reproduce TABLE --data-root FOLDER runs one, and goes on where it stopped.")


def reproduce_tables(
    tables: Sequence[PaperTable], read: Callable[[PaperTable], CompareConfig], root: str | None, runs: str
) -> None:
    """Run tables one after the other, and print what the paper has beside what is measured.

    Args:
        tables: of the paper.
        read: makes the comparison of each, with what was asked to be otherwise.
        root: the dataset's folder, or the folder in which those of several datasets lie by their names.
        runs: folder of all runs; a table is in a folder of its name there.

    Raises:
        CounterpointError: names, options or data of any of the tables are wrong; nothing is trained then.
        RunError: some of the runs failed.
    """
    from counterpoint.experiments.reproduce import plan_reproduction, run_reproduction
    from counterpoint.experiments.reproduction_tables import MARKDOWN, to_rich

    several = len({table.data for table in tables}) > 1
    places = [place_in(runs, table.name) for table in tables]
    plans = [
        plan_reproduction(table, _at(read(table), root, several), folder)
        for table, folder in zip(tables, places, strict=True)
    ]
    console, failed = terminal(), 0
    for table, plan in zip(tables, plans, strict=True):
        made = run_reproduction(table, plan)
        console.print(to_rich(made))
        console.print(f"Written: {made.folder / MARKDOWN}", soft_wrap=True)
        failed += len(made.failures)
    if failed:
        raise RunError(f"{failed} of the runs failed; the same command tries them again")


def _at(config: CompareConfig, root: str | None, several: bool) -> CompareConfig:
    """The comparison with its dataset's folder, unless an option names one."""
    if root is None or config.base.data.root is not None:
        return config
    inside = Path(root).expanduser() / config.base.data.name
    place = str(inside) if several or inside.is_dir() else root
    return replace(config, base=replace(config.base, data=replace(config.base.data, root=place)))


def smoke_tables(names: Sequence[str] | None, output: str | None) -> None:
    """Try every row of tables out on tiny made data; see `counterpoint.experiments.smoke`.

    Args:
        names: of tables; None: all of them, and the recipes that are in none.
        output: folder that is kept; None: one that is removed at the end.

    Raises:
        RunError: a row does not run.
    """
    from counterpoint.experiments.smoke import smoke, smoke_names

    console, failed, rows, began = terminal(), [], 0, time.perf_counter()
    with tempfile.TemporaryDirectory() as spare:
        folder = Path(spare if output is None else output)
        for name in smoke_names() if names is None else names:
            start = time.perf_counter()
            made = smoke(name, folder / name, folder / "data", progress=True)
            count = len(made.methods)
            rows += count
            failed += [f"{name}, {failure.run}: {failure.error}" for failure in made.failures]
            how = f"{len(made.failures)} failed" if made.failures else "all ran"
            console.print(f"{name}: {count} row{'' if count == 1 else 's'}, {how}, {time.perf_counter() - start:.1f} s")
    for line in failed:
        console.print(f"failed: {line}", style="red", soft_wrap=True)
    if failed:
        raise RunError(f"{len(failed)} of {rows} rows do not run")
    console.print(f"{rows} rows in {time.perf_counter() - began:.0f} s; the figures mean nothing")
