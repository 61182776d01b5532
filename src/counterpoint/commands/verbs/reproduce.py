"""`counterpoint reproduce`: its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

from counterpoint.commands.options import Parser, explicit_wins, lists_of_words, overrides
from counterpoint.commands.runs import allocate_largely
from counterpoint.errors import ConfigError
from counterpoint.experiments.config import CompareConfig
from counterpoint.training.config_io import from_dict, to_dict

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
    words = lists_of_words(overrides(words), ("--methods", "--seeds", "--folds"))
    options = parser.parse(explicit_wins(words))

    from counterpoint.commands.reproduce import print_tables, reproduce_and_tell, smoke_and_tell
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
        smoke_and_tell([table.name for table in tables] or None, options["output"])
        return
    if not tables:
        print_tables()
        return
    allocate_largely()

    def read(table: PaperTable) -> CompareConfig:
        asked = parser.parse(explicit_wins(["--table", table.name, *words]))
        return from_dict(CompareConfig, {name: asked[name] for name in to_dict(CompareConfig())})

    reproduce_and_tell(tables, read, options["data_root"], options["runs"])
