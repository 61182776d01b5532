"""`counterpoint compare`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterpoint.commands.code import remembered
from counterpoint.commands.options import PRINT, Parser, config_of
from counterpoint.commands.runs import COMPARISON, allocate_largely, config_to_resume, folder_of, former_words
from counterpoint.commands.terminal import print_alterations, terminal
from counterpoint.errors import RunError
from counterpoint.experiments.config import CompareConfig

if TYPE_CHECKING:
    from counterpoint.analysis.results import Comparison


def main(words: list[str]) -> None:
    """Train several methods under one fair protocol, and show which helps and what each modality has learnt."""
    parser = Parser("compare", main.__doc__)
    parser.add_config()
    parser.add_argument("--table", type=str, help="a paper's table, all of its rows: counterpoint list tables")
    parser.add_place("comparison", "the table's, or compare")
    parser.add_class_arguments(CompareConfig, None)
    if PRINT in words:  # what would be run, the task's methods too
        asked = parser.parse([word for word in words if word != PRINT])
        parser.set_defaults(methods=config_of(CompareConfig, asked).methods)
    options = parser.parse(words)
    table = options["table"]
    folder = folder_of(options, table or "compare")
    begun = config_to_resume(folder, COMPARISON) if options["resume"] else None
    if begun is not None:
        options = parser.parse(["--config", str(begun), *former_words(begun), *words])
    config = config_of(CompareConfig, options)
    config.base = remembered(config.base)
    allocate_largely()

    from counterpoint.experiments.compare import compare
    from counterpoint.recipes import load_table

    rows = load_table(table).compare["methods"] if table else ()
    made = compare(config, folder, resume=options["resume"], overwrite=options["overwrite"], rows=rows)
    print_comparison(made)
    require_whole(made)


def print_comparison(made: Comparison) -> None:
    """What a comparison came to, what became of the clips, and where its report is."""
    from counterpoint.data.alterations import Alteration
    from counterpoint.report.tables import to_rich

    console = terminal()
    console.print(to_rich(made))
    print_alterations(console, (Alteration(**row) for row in made.protocol["alterations"]), "--base.")
    if skipped := made.protocol["skipped"]:
        console.print(f"{len(skipped)} clips skipped; the report lists them")
    for note in made.protocol["notes"]:
        console.print(f"Note: {note}")
    console.print(f"Report: {made.folder / 'report.html'}", soft_wrap=True)


def require_whole(made: Comparison) -> None:
    """Refuse a comparison of which some runs are missing.

    Raises:
        RunError: says how many failed.
    """
    if made.failures:
        diverged = sum(failure.diverged for failure in made.failures)
        which = f" ({diverged} diverged: lower base.optim.lr)" if diverged else ""
        raise RunError(f"{len(made.failures)} of the runs failed{which}; --resume tries them again")
