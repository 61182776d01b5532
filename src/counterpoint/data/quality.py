"""How many bad clips a dataset may have: which are left of a split, and when too much is missing to go on."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.errors import ConfigError, DataError


def kind_of_reason(reason: str) -> str:
    """A reason without its numbers, so that like ones can be counted: ``"only 1.2 of 3 s"`` -> ``"only … of … s"``."""
    return re.sub(r"\d+(\.\d+)?", "…", reason)


def usable_clips(table: ClipTable, usable: Container[str], split: str) -> Sequence[Clip]:
    """The clips of a split whose ids are in `usable`, in table order.

    Raises:
        DataError: there is no such split, or it is empty.
    """
    clips = [clip for clip in table.split(split) if clip.id in usable]
    if not clips:
        raise DataError(f"{table.name}: no clip of the {split} split can be read")
    return clips


def check_max_bad(max_bad: float) -> None:
    """Raise a ConfigError unless `max_bad` is a share."""
    if not 0 <= max_bad <= 1:
        raise ConfigError(f"max_bad is {max_bad}; it must be a share of the clips, 0 to 1")


def check_usable(table: ClipTable, usable: Container[str], skipped: Mapping[str, str], max_bad: float) -> None:
    """Refuse a table of which too much is missing, or a class or a split altogether.

    Args:
        table: as listed.
        usable: ids of the clips that can be read.
        skipped: clip id -> why it is not used; includes what the table rejected.
        max_bad: share of unusable clips, 0 to 1, above which the table is rejected.

    Raises:
        DataError: more than `max_bad` of the clips, all clips of a split, or all clips of a class in training, are bad.
    """
    total = len(table.clips) + len(table.rejected.keys() - {clip.id for clip in table.clips})
    none = not any(clip.id in usable for clip in table.clips)
    if none or len(skipped) > max_bad * total:
        share = len(skipped) / total if total else 1.0
        told = "none is left" if none else f"more than max_bad = {max_bad:.1%} allows"
        reasons = Counter(kind_of_reason(reason) for reason in skipped.values()).most_common(3)
        worst = "".join(f"\n  {count} x {reason}" for reason, count in reasons)
        first = "".join(f"\n  {clip}: {reason}" for clip, reason in list(skipped.items())[:5])
        raise DataError(
            f"{table.name}: {len(skipped)} of {total} clips ({share:.1%}) cannot be used, {told}. "
            f"Most often:{worst or ' there are no clips'}\nThe first:{first or ' none'}"
        )
    for split in SPLITS:
        if any(clip.split == split for clip in table.clips):
            usable_clips(table, usable, split)
    listed = {clip.label for clip in table.clips if clip.split == "train"}
    missing = listed - {clip.label for clip in table.clips if clip.split == "train" and clip.id in usable}
    for label in sorted(missing - {table.background}):  # of which other clips have segments enough
        raise DataError(f"{table.name}: no clip of class {table.classes[label]!r} in training can be read")
