"""`counterpoint prepare`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.table import Table

from counterpoint._atomic import write_csv
from counterpoint._progress import ProgressDisplay
from counterpoint.commands.terminal import terminal
from counterpoint.data.cache.prepare import PreparedClips, prepare
from counterpoint.data.clip_table import ClipTable
from counterpoint.data.features.prepared import PreparedFeatures
from counterpoint.data.io.paths import cache_root
from counterpoint.training.config import DataConfig
from counterpoint.training.datamodule import list_clips, media_spec


def prepare_and_tell(config: DataConfig, output: str | None) -> None:
    """Decode all clips, or read those that are features already through once, and print what became of them.

    Args:
        config: which clips.
        output: CSV file of clips set aside; None: a dozen of them are printed.
    """
    with ProgressDisplay() as display:
        table = list_clips(config, display.callback("render"))
        clips = _prepared(table, config, display)
    done = f"{clips.decoded} decoded now" if table.features is None else "all of them features"
    console = terminal()
    console.print(
        f"{table.name}: {len(table.clips)} clips, {done}, {len(clips.skipped)} set aside; "
        f"cache: {config.cache or cache_root()}",
        soft_wrap=True,
    )
    counts = Table()
    for column in ("split", "clips", "speakers or sources"):
        counts.add_column(column, justify="left" if column == "split" else "right")
    for split, number in Counter(clip.split for clip in table.clips).items():
        groups = {clip.group for clip in table.clips if clip.split == split and clip.group is not None}
        counts.add_row(split, str(number), str(len(groups)) if groups else "unknown")
    console.print(counts)
    for note in table.notes:
        console.print(f"Note: {note}")
    rows = [{"clip": clip, "reason": reason} for clip, reason in clips.skipped.items()]
    if output is not None:
        write_csv(Path(output), rows, ("clip", "reason"))
        return
    for row in rows[:12]:
        console.print(f"set aside {row['clip']}: {row['reason']}", soft_wrap=True)
    if len(rows) > 12:
        console.print(f"and {len(rows) - 12} more; --output FILE writes them all")


def _prepared(table: ClipTable, config: DataConfig, display: ProgressDisplay) -> PreparedClips | PreparedFeatures:
    if table.features is not None:
        progress = display.callback("check")
        return PreparedFeatures(table, max_bad=config.max_bad, check=True, cache=config.cache, progress=progress)
    spec, progress = media_spec(table, config.media), display.callback("decode")
    return prepare(table, spec, cache=config.cache, max_bad=config.max_bad, progress=progress)
