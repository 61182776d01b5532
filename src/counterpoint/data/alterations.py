"""What became of a table's clips on the way to a model: cut, padded, in gray, silent, skipped; counted, with the option
that changes it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from counterpoint.data.cache.shards import Facts
from counterpoint.data.quality import any_missing, kind_of_reason
from counterpoint.media.spec import MediaSpec

TOLERANCE = 0.1
"""Clips whose length differs from what is read by less than this, in seconds, count as whole: containers round."""
_KINDS = 5  # of reasons to skip a clip that have a row of their own


@dataclass(frozen=True)
class Alteration:
    """One thing that was done to clips.

    Attributes:
        what: in words.
        clips: to how many.
        of: out of how many.
        share: of all seconds of the clips, 0 to 1; None where that says nothing.
        option: dotted name of the option that changes it; empty where none does.
        unit: what the share is of, instead of seconds.
    """

    what: str
    clips: int
    of: int
    share: float | None = None
    option: str = ""
    unit: str = "seconds"

    @property
    def share_in_words(self) -> str:
        """``"15.0 % of all seconds"``, or nothing."""
        return "" if self.share is None else f"{100 * self.share:.1f} % of all {self.unit}"


def of_media(facts: Iterable[Facts], spec: MediaSpec, modalities: Iterable[str]) -> list[Alteration]:
    """What decoding did to clips.

    Args:
        facts: of each clip.
        spec: the shape that clips were brought into.
        modalities: that were decoded.
    """
    listed, modalities = list(facts), set(modalities)
    total, window = len(listed), spec.seconds
    lengths = [known.seconds for known in listed if known.seconds is not None]
    cut = [seconds - window for seconds in lengths if seconds > window + TOLERANCE]
    padded = [window - seconds for seconds in lengths if seconds < window - TOLERANCE]
    filled = {"audio": "silence", "visual": "the last frame"}
    if spec.frames is not None:  # are spread over what there is
        del filled["visual"]
    fill = " and ".join(what for modality, what in filled.items() if modality in modalities)
    rows = [
        Alteration(f"cut to {window:g} s", len(cut), total, _share(sum(cut), sum(lengths)), "data.media.seconds"),
        Alteration(
            f"filled up to {window:g} s with {fill}",
            len(padded) if fill else 0,
            total,
            _share(sum(padded), window * len(lengths)),
            "data.media.seconds",
            "seconds given to the model",
        ),
        Alteration("of unknown length", total - len(lengths), total),
        Alteration("without a sound: silence throughout", sum(known.silent for known in listed), total),
        Alteration("with a gap in the sound: silence there", sum(known.gap for known in listed), total),
        Alteration(
            "read in gray, without colour",
            total if spec.gray and "visual" in modalities else 0,
            total,
            option="data.media.gray",
        ),
    ]
    return [row for row in rows if row.clips]


def of_skipped(skipped: Mapping[str, str], total: int) -> list[Alteration]:
    """Which clips are skipped: a row per kind of reason, and one for all rarer kinds.

    Args:
        skipped: clip id -> reason.
        total: clips, skipped ones included.
    """
    kinds = Counter(kind_of_reason(reason) for reason in skipped.values()).most_common()
    rows = [Alteration(f"skipped: {kind}", count, total, option=_option(kind)) for kind, count in kinds[:_KINDS]]
    if others := sum(count for _, count in kinds[_KINDS:]):
        rows.append(
            Alteration(f"skipped for {len(kinds) - _KINDS} other reasons", others, total, option="data.max_bad")
        )
    return rows


def _option(kind: str) -> str:
    """The option by which clips that are skipped for such a reason could be used, else that which allows for them."""
    if any_missing([kind]):
        return "data.impute"
    return "model.modalities" if kind.endswith(("has no sound", "has no moving picture")) else "data.max_bad"


def _share(part: float, whole: float) -> float | None:
    return part / whole if whole else None
