"""`counterpoint evaluate`."""

from __future__ import annotations

from pathlib import Path

from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.output_files import json_of
from counterpoint.commands.runs import allocate_largely, parse_with_own_data
from counterpoint.commands.terminal import column, figure, table, terminal
from counterpoint.training.config import DataConfig


def main(words: list[str]) -> None:
    """Evaluate a trained model on a split, of its own data or of others."""
    parser = Parser("evaluate", main.__doc__)
    parser.add_config()
    parser.add_argument("run", type=str, help="a run's folder, or one with config.json and model.safetensors")
    parser.add_argument("--split", type=str, default="test", help="train, val or test")
    parser.add_output_file("write the figures to this JSON file as well", json_of("clips", "loss"))
    parser.add_class_arguments(DataConfig, "data")
    options, own = parse_with_own_data(parser, words)
    allocate_largely()

    from counterpoint._atomic import write_json
    from counterpoint.training.evaluate import evaluate
    from counterpoint.training.load import load_run

    data = config_of(DataConfig, options, "data")
    run = load_run(options["run"])
    scores, metrics = evaluate(run, options["split"], data=None if data == own else data), run.module.task.metrics
    headings = [column(name, metrics) for name in scores]
    shown = table(*headings, title=f"{run.folder} on {options['split']}", right=headings)
    shown.add_row(*(figure(name, value, metrics) for name, value in scores.items()))
    terminal().print(shown)
    if options["output"] is not None:
        write_json(Path(options["output"]), scores, shared=True)
