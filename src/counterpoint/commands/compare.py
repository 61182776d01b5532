"""`counterpoint compare`."""

from __future__ import annotations

from pathlib import Path

from counterpoint import guests
from counterpoint.commands.code import remembered
from counterpoint.commands.options import (
    Parser,
    explicit_wins,
    last_value,
    leave_out_plumbing,
    lists_of_words,
    overrides,
)
from counterpoint.commands.runs import COMPARISON, allocate_largely, config_to_resume
from counterpoint.commands.terminal import terminal
from counterpoint.errors import ConfigError, RunError
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config_io import from_dict, to_dict


def main(words: list[str]) -> None:
    """Train several methods under one fair protocol, and show which helps and what each modality has learnt."""
    parser = Parser("compare", main.__doc__)
    parser.add_config()
    parser.add_argument("--table", type=str, help="a paper's table, all of its rows: counterpoint list tables")
    parser.add_place("comparison", "the table's, or compare")
    parser.add_class_arguments(CompareConfig, None)
    words = overrides(words)
    table = last_value(words, "--table")
    words = explicit_wins(lists_of_words(words, ("--methods", "--seeds", "--folds")))
    if any(word.startswith("--print_config") for word in words):  # prints what would be run, the task's methods too
        asked = parser.parse([word for word in words if not word.startswith("--print_config")])
        parser.set_defaults(methods=from_dict(CompareConfig, leave_out_plumbing(asked)).methods)
    options = parser.parse(words)
    if options["table"] is not None:
        raise ConfigError(f"table: {options['table']} stands in a file; give it as --table {options['table']}")
    folder = Path(options["runs"]) / (options["name"] or table or "compare")
    begun = config_to_resume(folder, COMPARISON) if options["resume"] else None
    if begun is not None:
        options = parser.parse(explicit_wins(["--config", str(begun), *words]))
    config = from_dict(CompareConfig, leave_out_plumbing(options))
    if begun is not None:
        guests.require_trust(begun, to_dict(config))  # a text may have been parsed into more
    config.base = remembered(config.base)
    allocate_largely()

    from counterpoint.experiments.compare import compare
    from counterpoint.recipes import load_table
    from counterpoint.report.tables import to_rich

    rows = load_table(table).compare["methods"] if table else ()
    made = compare(config, folder, resume=options["resume"], overwrite=options["overwrite"], rows=rows)
    console = terminal()
    console.print(to_rich(made))
    if skipped := made.protocol["skipped"]:
        console.print(f"{len(skipped)} unreadable clips skipped; the report lists them")
    for note in made.protocol["notes"]:
        console.print(f"Note: {note}")
    console.print(f"Report: {made.folder / 'report.html'}", soft_wrap=True)
    if made.failures:
        raise RunError(f"{len(made.failures)} of the runs failed; --resume tries them again")
