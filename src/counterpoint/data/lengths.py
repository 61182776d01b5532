"""A length for clips of one's own: enough for nearly all training clips, by what their files say."""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from counterpoint._atomic import write_json
from counterpoint._limits import read_json
from counterpoint.data.alterations import TOLERANCE
from counterpoint.data.cache.cache_keys import keys_of
from counterpoint.data.cache.decode_pool import decode_all
from counterpoint.data.cache.shards import Key, decoder_version
from counterpoint.data.clip_table import ClipTable
from counterpoint.errors import RunError

log = logging.getLogger(__name__)

SHARE, STEP, MOST = 0.95, 0.5, 10.0
"""So many of the training clips are whole, if that takes no more than `MOST` seconds, in steps of `STEP`."""
_READER = "counterpoint.media.decode:measure_clip"
_TIMEOUT = 30.0  # seconds; only headers are read


def with_fitted_length(table: ClipTable, cache: Path, progress: Callable[[int, int], None] | None = None) -> ClipTable:
    """The table with the length that suits its training clips, and a note that says which; see `SHARE`.

    Args:
        table: as listed. Where no training clip says how long it is, it stays as it is.
        cache: folder in which is remembered how long clips are.
        progress: called with (clips measured, clips to measure).
    """
    training = replace(table, clips=tuple(clip for clip in table.clips if clip.split == "train"), rejected={})
    known = sorted(_lengths(training, cache / "lengths", progress))
    if not known:
        return table
    enough = known[math.ceil(SHARE * len(known)) - 1]
    seconds = min(MOST, max(STEP, math.ceil((enough - TOLERANCE) / STEP) * STEP))
    whole = sum(length <= seconds + TOLERANCE for length in known) / len(known)
    note = (
        f"Length: {seconds:g} s are read of each clip, all there is of {100 * whole:.0f} % of the training clips; they "
        f"last {known[0]:.1f} to {known[-1]:.1f} s (data.media.seconds)."
    )
    return replace(table, media=replace(table.media, seconds=seconds), notes=(*table.notes, note))


def _lengths(table: ClipTable, memory: Path, progress: Callable[[int, int], None] | None) -> list[float]:
    """Of the clips that say how long they are."""
    keys = list(keys_of(table, ())[0].values())
    text = json.dumps([decoder_version(), [key.as_row() for key in keys]])
    place = memory / f"{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}.json"
    with contextlib.suppress(OSError, ValueError, TypeError, KeyError):  # not there, or damaged
        return [float(length) for length in read_json(place)["seconds"]]
    lengths, settled = _measure(table, keys, progress)
    if settled:
        try:
            write_json(place, {"dataset": table.name, "seconds": lengths}, shared=True)
        except RunError as error:
            log.warning("How long the clips of %s are is not remembered: %s", table.name, error)
    return lengths


def _measure(
    table: ClipTable, keys: Sequence[Key], progress: Callable[[int, int], None] | None
) -> tuple[list[float], bool]:
    """The lengths, and whether another try would find no more; in processes that a damaged file may crash."""
    lengths, settled = [], True
    measured = decode_all(keys, table.media, (), jobs=None, timeout=_TIMEOUT, reader=_READER)
    with contextlib.closing(measured) as answers:
        for done, (_, answer) in enumerate(answers, start=1):
            if answer.facts.seconds is not None:
                lengths.append(answer.facts.seconds)
            settled &= answer.lasting or not answer.reason
            if progress:
                progress(done, len(keys))
    return lengths, settled
