"""Trial lists of verification: pairs of utterances, and whether each pair is of one speaker."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from counterpoint.data.io.csv_tables import read_text
from counterpoint.errors import DataError, quoted
from counterpoint.media.files import cells_of


@dataclass(frozen=True)
class Missing:
    """What cannot be judged because utterances are not there.

    Attributes:
        utterances: names of those that are missing, in the order of the list.
        listed: utterances in the list.
        targets: trials of one speaker that fall away.
        nontargets: trials of two speakers that fall away.
        trials: trials in the list.
    """

    utterances: tuple[str, ...]
    listed: int
    targets: int
    nontargets: int
    trials: int

    def note(self) -> str:
        """One sentence for readers of results; empty where nothing is missing."""
        if not self.utterances:
            return ""
        names = ", ".join(self.utterances[:3]) + (", ..." if len(self.utterances) > 3 else "")
        return (
            f"{len(self.utterances):,} of {self.listed:,} utterances are missing ({names}): "
            f"{self.targets + self.nontargets:,} of {self.trials:,} trials are left out, {self.targets:,} of one "
            f"speaker and {self.nontargets:,} of two."
        )


@dataclass(frozen=True, eq=False)
class TrialList:
    """N trials over U utterances.

    Attributes:
        name: what it is called in messages.
        utterances: names, each once, in the order in which they first stand in the list; a vector per utterance, in
            this order, is what scoring needs.
        first: positions in `utterances` of one side of each trial; ``(N,)`` int64.
        second: of the other side.
        target: whether both are of one speaker; ``(N,)`` bool.
    """

    name: str
    utterances: tuple[str, ...]
    first: NDArray[np.int64]
    second: NDArray[np.int64]
    target: NDArray[np.bool_]

    def __len__(self) -> int:
        """Number of trials."""
        return len(self.target)

    def part(self, index: int, count: int) -> TrialList:
        """The `index`-th of `count` parts that together are the whole list, over the same utterances.

        For one part per process, that is ``trials.part(rank, world_size)``; parts differ by one trial at most.
        """
        step = slice(index, None, count)
        return TrialList(self.name, self.utterances, self.first[step], self.second[step], self.target[step])

    def require_both_kinds(self) -> None:
        """Refuse a list of which no error rate can be had, before its utterances are decoded.

        Raises:
            DataError: all trials are of one speaker, or all of two.
        """
        targets = int(self.target.sum())
        if targets in (0, len(self)):
            raise DataError(
                f"{self.name}: {targets} of {len(self)} trials are of one speaker; error rates need at least one that "
                "is and one that is not"
            )

    def available(self, there: Collection[str]) -> tuple[TrialList, Missing]:
        """The trials of which both utterances are there, and what had to be left out.

        Args:
            there: names of utterances that there are; more than the list has do no harm.

        Raises:
            DataError: no trial is left.
        """
        known = there if isinstance(there, (set, frozenset, dict)) else set(there)
        has = np.fromiter((name in known for name in self.utterances), bool, len(self.utterances))
        keep = has[self.first] & has[self.second]
        lost = self.target[~keep]
        absent = tuple(name for name, there in zip(self.utterances, has, strict=True) if not there)
        missing = Missing(absent, len(has), int(lost.sum()), int((~lost).sum()), len(self))
        if not keep.any():
            raise DataError(f"{self.name}: no trial can be scored. {missing.note()}")
        names = tuple(name for name, there in zip(self.utterances, has, strict=True) if there)
        place = np.cumsum(has) - 1
        return (
            TrialList(self.name, names, place[self.first[keep]], place[self.second[keep]], self.target[keep]),
            missing,
        )


def parse_trials(text: str, source: str) -> TrialList:
    """Trials from lines of label and two utterances, ``1 a b`` or ``1,a,b``; empty lines are skipped.

    The first form is that of VoxCeleb's official lists, the second that of MMCosine's, whose names may stand in quotes.
    A slash in front of a name is taken off, since one of the latter has it and the other has not.

    Args:
        text: the content of the file.
        source: its name, for messages.

    Raises:
        DataError: a line that is not of this form (the message has its number), or no trial at all.
    """
    places: dict[str, int] = {}
    labels: list[bool] = []
    sides: list[int] = []
    for number, line in enumerate(text.split("\n"), 1):
        cells = _cells(line)
        if not cells:
            continue
        if len(cells) != 3 or not all(cells):
            raise DataError(
                f"{source}, line {number}: {quoted(line.strip()[:80])} is no trial; it must be a label and two "
                "utterances, `1 a b` or `1,a,b`"
            )
        if cells[0] not in ("0", "1"):
            raise DataError(
                f"{source}, line {number}: the label is {cells[0][:20]!r}; it must be 1 for one speaker or 0 for two"
            )
        labels.append(cells[0] == "1")
        sides += [places.setdefault(name.lstrip("/"), len(places)) for name in cells[1:]]
    if not labels:
        raise DataError(f"{source} has no trials; each line must be a label and two utterances, `1 a b` or `1,a,b`")
    pairs = np.array(sides, np.int64).reshape(-1, 2)
    return TrialList(source, tuple(places), pairs[:, 0].copy(), pairs[:, 1].copy(), np.array(labels))


def _cells(line: str) -> list[str]:
    if "," not in line:
        return line.split()
    cells = line.split(",")
    if '"' in line:  # few lists have quotes; looking for them in every line would make the rest wait
        try:
            cells = next(cells_of(line.strip(), blanks=True))[1]
        except ValueError:
            return [line]
    return [cell.strip() for cell in cells]


def read_trials(path: Path) -> TrialList:
    """A trial list from a file; see `parse_trials`.

    Raises:
        DataError: it cannot be read, or has a line that is no trial.
    """
    return parse_trials(read_text(path), str(path))
