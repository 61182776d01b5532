"""`counterpoint check`: its options."""

from __future__ import annotations

from counterpoint.commands.options import Parser, explicit_wins
from counterpoint.errors import ConfigError
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import from_dict

SHARED = 1
"""What the process ends with when the sides of a split are not apart."""


def main(words: list[str]) -> None:
    """Say what both sides of a dataset's split share: speakers, source videos, identical files."""
    parser = Parser("check", main.__doc__)
    parser.add_config()
    parser.add_argument("dataset", type=str, help="its name: counterpoint list datasets")
    parser.add_argument("--splits", type=str, help="folder of the dataset's lists, to be read without its media")
    parser.add_output_file("write what was found to this JSON file as well")
    parser.add_class_arguments(DataConfig, "data")
    options = parser.parse(explicit_wins(words))
    name = options["dataset"]
    if options["data"]["name"] not in (DataConfig.name, name):
        raise ConfigError(f"check {name}, but data.name is {options['data']['name']}; name one dataset")
    config = from_dict(DataConfig, {**options["data"], "name": name}, "data")
    if options["splits"] is not None and (config.root is not None or config.options):
        raise ConfigError("--splits reads lists alone; leave data.root and data.options out, or --splits")

    from counterpoint.commands.check import check_and_tell

    if check_and_tell(config, options["splits"], options["output"]):
        raise SystemExit(SHARED)
