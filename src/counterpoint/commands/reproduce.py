"""`counterpoint reproduce`."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from rich.table import Table

from counterpoint.commands.terminal import terminal
from counterpoint.errors import RunError
from counterpoint.experiments.config import CompareConfig
from counterpoint.recipes import PaperTable, load_table, printed_tables
from counterpoint.recipes.tables import PAPERS

Read = Callable[[PaperTable], CompareConfig]


def print_tables() -> None:
    """What there is to reproduce, and on which data."""
    numbers = {name: number for number, name in PAPERS.items()}
    shown = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("table", "also", "dataset", "rows", ""):
        shown.add_column(column, justify="right" if column == "rows" else "left", no_wrap=column == "table")
    for printed, names in printed_tables().items():
        paper, _, which = printed.partition(":")
        for k, name in enumerate(names):
            table = load_table(name)
            short = (printed, f"{numbers[paper]}:{which}") if k == 0 else ("", "")
            shown.add_row(*short, table.data, str(len(table.compare["methods"])), table.title)
    console = terminal()
    console.print(shown)
    console.print("\ncounterpoint reproduce TABLE --data-root FOLDER runs one, and goes on where it stopped.")


def reproduce_and_tell(tables: Sequence[PaperTable], read: Read, root: str | None, runs: str) -> None:
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
    from counterpoint.experiments.reproduce import check_reproduction, reproduce
    from counterpoint.experiments.reproduction_tables import MARKDOWN, to_rich

    several = len({table.data for table in tables}) > 1
    configs = {table.name: _at(read(table), root, several) for table in tables}
    for table in tables:
        check_reproduction(table, configs[table.name])
    console, failed = terminal(), 0
    for table in tables:
        made = reproduce(table, configs[table.name], Path(runs) / table.name)
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


def smoke_and_tell(names: Sequence[str] | None, output: str | None) -> None:
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
            made = smoke(name, folder / name, folder / "data")
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
