"""`counterpoint train`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint._lock import locked
from counterpoint.commands.code import remembered
from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.runs import RUN, allocate_largely, config_to_resume, folder_of, former_words
from counterpoint.commands.terminal import column, figure, print_alterations, table, terminal
from counterpoint.errors import ConfigError
from counterpoint.training.config import TrainConfig

if TYPE_CHECKING:
    from counterpoint.training.load import Run

_OF_A_FOLDER = ("folder", "features")  # datasets that are what their folder holds


def main(words: list[str]) -> None:
    """Train one composition of encoders, fusion, head and balancer on audio-visual clips."""
    parser = Parser("train", main.__doc__)
    parser.add_config()
    parser.add_argument("--recipe", type=str, help="a method's fusion, head and balance: counterpoint list recipes")
    parser.add_place("run", "made of data, method and seed")
    parser.add_class_arguments(TrainConfig, None)
    options = parser.parse(words)
    config, recipe = config_of(TrainConfig, options), options["recipe"]
    _require_task(config, recipe)
    folder = folder_of(options, _default_name(config, recipe))
    begun = config_to_resume(folder, RUN) if options["resume"] else None
    if begun is not None:
        config = config_of(TrainConfig, parser.parse(["--config", str(begun), *former_words(begun), *words]))
    config = remembered(config)
    allocate_largely()

    from counterpoint.report.report import write_run_report
    from counterpoint.training.fit import fit
    from counterpoint.training.run_dir import is_main_process

    if not is_main_process():
        fit(config, folder, resume=options["resume"], overwrite=options["overwrite"])
        return
    with locked(folder):
        run = fit(config, folder, resume=options["resume"], overwrite=options["overwrite"])
        report = write_run_report(run)
    _print(run, report)


def _require_task(config: TrainConfig, recipe: str | None) -> None:
    """Refuse a recipe whose parts the task would leave out."""
    if recipe is None:
        return
    from counterpoint.recipes import load_recipe

    made = load_recipe(recipe).task
    if made != config.task:
        raise ConfigError(f"recipe {recipe} is for task {made!r}, but task is {config.task!r}; change one of the two")


def _default_name(config: TrainConfig, recipe: str | None) -> str:
    parts = [config.intermediate.name, config.fusion.name, config.fusion.attention, config.balance.name]
    if config.task == "localise":
        parts = [config.localise.name, config.localise.supervision, config.balance.name]
    if config.head.name != "linear":
        parts.append(config.head.name)
    method = Path(recipe).stem if recipe else "-".join(part.rpartition(":")[2] for part in parts if part)
    root = config.data.root if config.data.name in _OF_A_FOLDER else None
    where = None if root is None else Path(root).expanduser().resolve().name
    named = (config.data.name, where, config.data.task, method, config.seed)
    return "-".join(str(part).rpartition(":")[2] for part in named if part is not None)  # of package.module:Class


def _print(run: Run, report: Path) -> None:
    """What a finished run came to, and where its report is."""
    from counterpoint.data.alterations import Alteration

    result, metrics = run.result, run.module.task.metrics
    figures = [column(name, metrics) for name in result["test"]]
    title = f"{result['data']}, epoch {result['epoch'] + 1} of {result['epochs']}"
    shown = table("split", "clips", *figures, title=title, right=("clips", *figures))
    for split in ("val", "test"):
        shown.add_row(split, str(result["clips"][split]), *(figure(n, v, metrics) for n, v in result[split].items()))
    console = terminal()
    console.print(shown)
    print_alterations(console, (Alteration(**row) for row in result.get("alterations", ())))  # a run of 0.1 has none
    if result["skipped"]:
        console.print(f"{result['skipped']} clips skipped: {run.folder / 'skipped.csv'}")
    for note in result["notes"]:
        console.print(f"Note: {note}")
    console.print(f"Run: {run.folder}\nReport: {report}", soft_wrap=True)
