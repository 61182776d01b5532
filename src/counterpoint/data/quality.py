"""How many bad clips a dataset may have: which are left of a split, and when too much is missing to go on."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Container, Mapping, Sequence

from counterpoint.data.clip_table import SPLITS, Clip, ClipTable
from counterpoint.data.features.validate import MISSING
from counterpoint.errors import ConfigError, DataError, one_line, quoted


class UnusableError(DataError):
    """So many clips cannot be used that nothing is trained on the others.

    Attributes:
        skipped: clip id -> why it cannot be used, of all of them.
    """

    def __init__(self, message: str, skipped: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.skipped = dict(skipped or {})


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
        UnusableError: more than `max_bad` of the clips, all clips of a split, or all clips of a class in training, are
            bad.
    """
    total = len(table.clips) + len(table.rejected.keys() - {clip.id for clip in table.clips})
    share = len(skipped) / total if total else 1.0
    lost = f"{table.name}: {len(skipped)} of {total} clips ({share:.1%}) cannot be used"
    if not any(clip.id in usable for clip in table.clips):
        raise UnusableError(f"{lost}, none is left. {_reasons(skipped)}", skipped)
    if len(skipped) > max_bad * total:
        allow = f"\nTo go without them: --data.max_bad {math.ceil(100 * share) / 100:g}"
        raise UnusableError(
            f"{lost}, more than max_bad = {max_bad:.1%} allows. {_reasons(skipped)}{_advice(skipped)}{allow}", skipped
        )
    for split in SPLITS:
        listed = [clip.id for clip in table.clips if clip.split == split]
        if listed and not any(clip in usable for clip in listed):
            raise UnusableError(f"{table.name}: no clip of the {split} split {_none(listed, skipped)}", skipped)
    for label in sorted({clip.label for clip in table.clips} - {table.background}):
        # Of background, other clips have segments enough.
        listed = [clip.id for clip in table.clips if clip.split == "train" and clip.label == label]
        if listed and not any(clip in usable for clip in listed):
            name = table.classes[label]
            raise UnusableError(
                f"{table.name}: no clip of class {quoted(name)} in training {_none(listed, skipped)}", skipped
            )


def _none(clips: Sequence[str], skipped: Mapping[str, str]) -> str:
    """The end of a sentence on clips none of which can be read."""
    theirs = {clip: skipped[clip] for clip in clips if clip in skipped}
    return f"can be read; there are {len(clips)}. {_reasons(theirs)}{_advice(theirs)}"


def _reasons(skipped: Mapping[str, str]) -> str:
    reasons = Counter(kind_of_reason(reason) for reason in skipped.values()).most_common(3)
    worst = "".join(f"\n  {count} x {one_line(reason)}" for reason, count in reasons)
    first = "".join(f"\n  {one_line(clip)}: {one_line(reason)}" for clip, reason in list(skipped.items())[:5])
    return f"Most often:{worst or ' there are no clips'}\nThe first:{first or ' none'}\n"


def _advice(skipped: Mapping[str, str]) -> str:
    lists = "All of them: counterpoint prepare --output FILE, with the same data"
    fills = "\nTo fill NaN with the mean of the training clips: --data.impute mean"
    return lists + (fills if any_missing(skipped.values()) else "")


def any_missing(reasons: Collection[str]) -> bool:
    """Whether a clip could be kept by `data.impute`."""
    return any(reason.endswith(MISSING) for reason in reasons)
