"""`counterpoint prepare`: its options."""

from __future__ import annotations

from counterpoint.commands.feature_config import FeaturesConfig
from counterpoint.commands.options import Parser, explicit_wins
from counterpoint.commands.runs import allocate_largely
from counterpoint.errors import ConfigError
from counterpoint.training.config import DataConfig
from counterpoint.training.config_io import from_dict, to_dict


def main(words: list[str]) -> None:
    """Decode a dataset's clips into the cache, or turn them into features, and account for every damaged one."""
    parser = Parser("prepare", main.__doc__)
    parser.add_config()
    parser.add_output_file("write the clips set aside, with reasons, to this CSV file")
    parser.add_argument("--features", type=str, help="folder for features of the clips' segments; the rest says which")
    parser.add_argument("--overwrite", action="store_true", help="remove the features that are there")
    parser.add_class_arguments(DataConfig, "data")
    parser.add_class_arguments(FeaturesConfig, None)
    options = parser.parse(explicit_wins(words))
    config = from_dict(DataConfig, options["data"], "data")
    how = from_dict(FeaturesConfig, {name: options[name] for name in to_dict(FeaturesConfig())})
    if options["features"] is not None:
        if options["output"] is not None:
            raise ConfigError("--features writes skipped.csv into its folder; leave --output out")
        allocate_largely()

        from counterpoint.commands.features import write_features

        write_features(config, how, options["features"], overwrite=options["overwrite"])
        return
    if how != FeaturesConfig() or options["overwrite"]:
        raise ConfigError("encoders and segments are for features; name a folder for them: --features FOLDER")

    from counterpoint.commands.prepare import prepare_and_tell

    prepare_and_tell(config, options["output"])
