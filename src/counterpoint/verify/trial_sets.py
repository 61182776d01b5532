"""What a list of trials is about: which clips have to be embedded for it, and what of it is missing."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from counterpoint.data import ClipTable, load_table
from counterpoint.data.datasets import fop, shuu
from counterpoint.data.datasets.shuu import PairTables
from counterpoint.data.io.media_files import SOUNDS
from counterpoint.data.trials import Missing, TrialList, read_trials
from counterpoint.errors import DataError
from counterpoint.training.config import DataConfig

PAIRS, FEATURES, TRIALS = "shuu", "fop", "voxceleb"
"""Datasets whose lists are of a voice and a face, of features of both, and of two utterances."""


@dataclass(frozen=True)
class TrialSet:
    """Trials, and where their sides are found.

    Attributes:
        trials: all that are listed.
        sides: modality -> table of clips, of trials that compare a voice with a face; None -> the one table, where both
            sides are clips of all modalities. Clips are called as in `trials`; what is missing is refused.
    """

    trials: TrialList
    sides: Mapping[str | None, ClipTable]

    @property
    def between_modalities(self) -> bool:
        """Whether a trial compares one modality with another."""
        return None not in self.sides

    def available(self) -> tuple[TrialList, Missing]:
        """The trials of which both sides are listed as being there, and what had to be left out.

        Raises:
            DataError: no trial is left.
        """
        return self.trials.available({clip.id for table in self.sides.values() for clip in table.clips})


def read_trial_set(data: DataConfig, trials: str | Path) -> TrialSet:
    """The trials of a list, on a dataset.

    Args:
        data: of ``shuu``, pairs of a voice and a face as it comes with them; of ``fop``, which of its pairs
            (``"unseenunheard"``); of ``voxceleb``, utterances by their official names; of every other dataset, clips by
            their ids.
        trials: the list, ``1 a b`` or ``1,a,b`` a line.

    Raises:
        DatasetNotFoundError: the dataset is not there.
        DataError: a line that does not fit, with its number; none of the clips is there.
    """
    if data.name == FEATURES:
        return _of_pairs(fop.pair_tables(str(trials), data.root))
    if data.name == PAIRS:
        return _of_pairs(shuu.pair_tables(trials, data.root))
    path = Path(trials).expanduser()
    listed = read_trials(path)
    if data.name == TRIALS:
        return TrialSet(listed, {None: load_table(data.name, data.root, data.task, data.seed, trials=str(path))})
    table = load_table(data.name, data.root, data.task, data.seed, **data.options)
    known = {clip.id: clip for clip in table.clips}
    there = [name for name in listed.utterances if name in known]
    if not there:
        raise DataError(
            f"None of the {len(listed.utterances)} utterances of {path} is a clip of {table.name}: {path.name} has "
            f"{listed.utterances[0]!r}, the dataset {next(iter(known))!r}"
        )
    refused = {
        name: table.rejected.get(name, f"{path.name} lists it, but {table.name} has no such clip")
        for name in listed.utterances
        if name not in known
    }
    clips = tuple(replace(known[name], split="test") for name in there)
    return TrialSet(listed, {None: replace(table, clips=clips, rejected=refused)})


def require_pictures(found: TrialSet, modalities: Collection[str], max_bad: float) -> None:
    """Refuse utterances to be seen and heard of which too many have sound alone, as VoxCeleb1 is given out.

    Args:
        found: what is to be scored.
        modalities: of the utterances that are compared; of sound alone no pictures are wanted.
        max_bad: share of utterances that may lack them, 0 to 1.

    Raises:
        DataError: more than that, or all.
    """
    if found.between_modalities or not {"audio", "visual"} <= set(modalities):
        return
    table = found.sides[None]
    total = len(table.clips)
    blind = sum(clip.path.suffix.lower() in SOUNDS for clip in table.clips)
    if blind and (blind == total or blind > max_bad * total):
        raise DataError(
            f"{table.name}: {blind} of {total} utterances have no picture. Put videos or pictures of the faces beside "
            "them, or evaluate the audio alone: `counterpoint verify ... --modality audio`"
        )


def _of_pairs(tables: PairTables) -> TrialSet:
    return TrialSet(tables.pairs, {"audio": tables.voices, "visual": tables.faces})
