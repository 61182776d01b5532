"""`counterpoint auto`."""

from __future__ import annotations

from counterpoint.commands.code import remembered
from counterpoint.commands.compare import print_comparison, require_whole
from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.runs import allocate_largely, folder_of
from counterpoint.commands.terminal import terminal
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

    from counterpoint.experiments.auto import auto

    console = terminal()
    made = auto(
        options["clips"],
        minutes=options["minutes"],
        folder=folder,
        base=base,
        resume=options["resume"],
        overwrite=options["overwrite"],
        say=console.print,
    )
    print_comparison(made.comparison)
    console.print(" ".join(made.advice), style="bold")
    console.print(f"Use it: counterpoint predict FILE --run {made.comparison.folder}", soft_wrap=True)
    require_whole(made.comparison)
