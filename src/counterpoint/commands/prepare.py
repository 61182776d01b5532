"""`counterpoint prepare`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from counterpoint.commands.options import Parser, config_of
from counterpoint.commands.output_files import csv_of
from counterpoint.commands.runs import allocate_largely
from counterpoint.commands.terminal import print_alterations, print_skipped, table, terminal
from counterpoint.errors import ConfigError
from counterpoint.extraction.config import FeaturesConfig
from counterpoint.training.config import DataConfig

if TYPE_CHECKING:
    from counterpoint._progress import ProgressDisplay
    from counterpoint.data.cache.prepare import PreparedClips
    from counterpoint.data.clip_table import ClipTable
    from counterpoint.data.features.prepared import PreparedFeatures

_COLUMNS = ("clip", "reason")


def main(words: list[str]) -> None:
    """Decode a dataset's clips into the cache, or turn them into features, and account for every damaged one."""
    parser = Parser("prepare", main.__doc__)
    parser.add_config()
    parser.add_output_file("write the skipped clips, with reasons, to this CSV file", csv_of(*_COLUMNS))
    parser.add_argument("--features", type=str, help="folder for features of the clips' segments; the rest says which")
    parser.add_argument("--overwrite", action="store_true", help="remove the features that are there")
    parser.add_class_arguments(DataConfig, "data")
    parser.add_class_arguments(FeaturesConfig, None)
    options = parser.parse(words)
    config = config_of(DataConfig, options, "data")
    how = config_of(FeaturesConfig, options)
    if options["features"] is not None:
        if options["output"] is not None:
            raise ConfigError("--features writes skipped.csv into its folder; leave --output out")
        allocate_largely()
        write_and_print_features(config, how, options["features"], overwrite=options["overwrite"])
        return
    if how != FeaturesConfig() or options["overwrite"]:
        raise ConfigError("encoders, segments and --overwrite are for features; add --features FOLDER")
    prepare_and_print(config, options["output"])


def prepare_and_print(config: DataConfig, output: str | None) -> None:
    """Decode all clips, or read those that are features already through once, and print what became of them.

    Args:
        config: which clips.
        output: CSV file of skipped clips, written also where they are too many; None: a dozen of them are printed.

    Raises:
        UnusableError: too many clips cannot be used.
    """
    from counterpoint._progress import ProgressDisplay
    from counterpoint.data.io.paths import cache_root
    from counterpoint.data.quality import UnusableError
    from counterpoint.data.splits.draw import used_note
    from counterpoint.training.datamodule import list_clips

    with ProgressDisplay() as display:
        listed = list_clips(config, display.callback("list"), fit_length=True)
        try:
            clips = _prepared(listed, config, display)
        except UnusableError as error:
            if output is None:
                raise
            _write_skipped(output, error.skipped)
            raise UnusableError(f"{error}\n{output} lists all {len(error.skipped)}", error.skipped) from None
    done = f"{clips.decoded} decoded now" if listed.features is None else "all of them features"
    console = terminal()
    console.print(
        f"{listed.name}: {len(listed.clips)} clips, {done}, {len(clips.skipped)} skipped; "
        f"cache: {cache_root(config.cache)}",
        soft_wrap=True,
    )
    counts = table("split", "clips", "speakers or sources", right=("clips", "speakers or sources"))
    used = [clip for clip in listed.clips if clip.id not in clips.skipped]
    for split, number in Counter(clip.split for clip in used).items():
        groups = {clip.group for clip in used if clip.split == split and clip.group is not None}
        counts.add_row(split, str(number), str(len(groups)) if groups else "unknown")
    console.print(counts)
    print_alterations(console, clips.alterations)
    for note in (*listed.notes, *used_note(listed.clips, clips.skipped)):
        console.print(f"Note: {note}")
    if output is None:
        print_skipped(console, clips.skipped, "--output FILE")
    else:
        _write_skipped(output, clips.skipped)


def _write_skipped(output: str, skipped: Mapping[str, str]) -> None:
    from counterpoint._atomic import write_csv

    rows = [{"clip": clip, "reason": reason} for clip, reason in skipped.items()]
    write_csv(Path(output), rows, _COLUMNS)


def write_and_print_features(config: DataConfig, how: FeaturesConfig, folder: str, *, overwrite: bool = False) -> None:
    """Encode all clips into a folder, and print what became of them; see `counterpoint.extraction.write`."""
    from counterpoint.extraction.write import write_features

    made = write_features(config, how, folder, overwrite=overwrite)
    total, there = len(made.table.clips), f"; {made.there} were there already" if made.there else ""
    console = terminal(soft_wrap=True)
    console.print(
        f"{made.table.name}: {total - len(made.skipped)} of {total} clips in {made.folder}, {made.segments} segments "
        f"each, by {' and '.join(made.encoders.values())}{there}"
    )
    for note in made.table.notes:
        console.print(f"Note: {note}")
    print_skipped(console, made.skipped, "skipped.csv")
    if made.table.classes:
        console.print(f"Train on them with task=localise --data.name features --data.root {made.folder}")
    else:
        console.print("To train on them, fill in the column class of clips.csv, or add events.csv")


def _prepared(listed: ClipTable, config: DataConfig, display: ProgressDisplay) -> PreparedClips | PreparedFeatures:
    from counterpoint.data.cache.prepare import prepare
    from counterpoint.data.features.prepared import PreparedFeatures
    from counterpoint.training.datamodule import media_spec

    if listed.features is not None:
        progress = display.callback("check")
        return PreparedFeatures(
            listed, impute=config.impute, max_bad=config.max_bad, check=True, cache=config.cache, progress=progress
        )
    spec, progress = media_spec(listed, config.media), display.callback("decode")
    return prepare(listed, spec, cache=config.cache, max_bad=config.max_bad, progress=progress)
