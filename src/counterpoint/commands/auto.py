"""`counterpoint auto`."""

from __future__ import annotations

from counterpoint.commands.code import remembered
from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.runs import allocate_largely, folder_of
from counterpoint.commands.terminal import terminal
from counterpoint.errors import RunError
from counterpoint.training.config import TrainConfig


def main(words: list[str]) -> None:
    """Look at your clips, find out within some minutes what to take for them, and say what would help next."""
    parser = Parser("auto", main.__doc__)
    parser.add_config()
    parser.add_argument(
        "clips", type=str, help="folder with a subfolder for each class, folder of features, or dataset"
    )
    parser.add_argument("--minutes", type=float, default=15.0, help="that it may take")
    parser.add_place("comparison", "auto")
    parser.add_class_arguments(TrainConfig, "base")
    options = parser.parse(words)
    folder = folder_of(options, "auto")
    base = remembered(config_of(TrainConfig, options, "base"))
    allocate_largely()

    from rich.text import Text

    from counterpoint.experiments.auto import auto
    from counterpoint.report.tables import to_rich

    console = terminal()
    made = auto(
        options["clips"],
        minutes=options["minutes"],
        folder=folder,
        base=base,
        resume=options["resume"],
        overwrite=options["overwrite"],
        say=lambda sentence: console.print(Text(sentence)),
    )
    console.print(to_rich(made.comparison))
    for note in made.comparison.protocol["notes"]:
        console.print(Text(f"Note: {note}"))
    console.print(Text(" ".join(made.advice), style="bold"))
    console.print(Text(f"Report: {made.comparison.folder / 'report.html'}"), soft_wrap=True)
    console.print(Text(f"Use it: counterpoint predict FILE --run {made.comparison.folder}"), soft_wrap=True)
    if made.comparison.failures:
        raise RunError(f"{len(made.comparison.failures)} of the runs failed; --resume tries them again")
