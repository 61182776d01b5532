"""VoxCeleb1 and VoxCeleb2: celebrities speaking in online videos; who speaks, and utterances for verification.

Nagrani, Chung, Zisserman: "VoxCeleb: a large-scale speaker identification dataset", Interspeech (2017); Chung, Nagrani,
Zisserman: "VoxCeleb2: Deep Speaker Recognition", Interspeech (2018).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from counterpoint.data.clip_table import Clip, ClipTable
from counterpoint.data.datasets import _voxceleb_leaks  # noqa: F401  (registers what compares its lists)
from counterpoint.data.datasets._voxceleb_files import (
    Utterance,
    VoxFiles,
    find_voxceleb,
    read_iden_split,
    speaker_of,
    utterance_name,
    video_of,
)
from counterpoint.data.io.media_files import find_list
from counterpoint.data.io.paths import default_root
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import Drawn, describe, draw_split, shared_note
from counterpoint.data.trials import TrialList, read_trials
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError, quoted
from counterpoint.media.spec import MediaSpec

WHERE = "VoxCeleb (Nagrani et al. 2017, Chung et al. 2018), its lists under CC BY 4.0; the videos are their owners'"
_GET = "Ask for it at mm.kaist.ac.kr/datasets/voxceleb"

_MEDIA = MediaSpec(sample_rate=16000, seconds=4.0, frames=1, size=224, gray=False)
_LAYOUT = """its folder must hold speakers' folders, up to three folders deep, with any of these in them:
  wav/id10001/1zcIwhmdeo4/00001.wav ...       VoxCeleb1; also vox1_dev_wav/wav/, vox1_test_wav/wav/
  dev/aac/id00012/21Uxsk56VDQ/00001.m4a ...   VoxCeleb2; test/aac/
  dev/mp4/id00012/21Uxsk56VDQ/00001.mp4 ...   videos of faces
  faces/id00012#21Uxsk56VDQ#00001.txt#000.mp4/0000002.png ...   or their pictures, also id00012/21Uxsk56VDQ/00001/
  unzippedFaces/A.J._Buckley/1.6/1zcIwhmdeo4/0000375.jpg ...    or VoxCeleb1's, with vox1_meta.csv
  vox1_meta.csv, vox2_meta.csv, iden_split.txt                  optional, in any of these folders"""


@dataset("voxceleb", tasks=("speaker",), where=WHERE, elsewhere=_GET)
def load_voxceleb(
    root: Path | None,
    task: str,
    seed: int,
    *,
    split: Literal["videos", "iden"] = "videos",
    lists: str | None = None,
    trials: str | None = None,
    val: float = 0.05,
    test: float = 0.05,
) -> ClipTable:
    """List utterances of VoxCeleb1, VoxCeleb2 or both with who speaks.

    Sound comes from the sound file, else from the video. A picture is a frame of the video of the face, or the middle
    one of its pictures; VoxCeleb1's lie by video, so that there all utterances of a video have the same.

    Args:
        root: the folder; None: ``datasets/voxceleb`` in the cache.
        task: ``speaker``.
        seed: of what is drawn of the split.
        split: ``"videos"``: the speakers that are not kept for verification, with whole videos of each held out for
            validation and test; ``"iden"``: VoxCeleb1's own ``iden_split.txt``, with all 1251 speakers.
        lists: ``iden_split.txt`` or its folder; None: in `root` or a folder in it.
        trials: a trial list (`read_trials`): the table then holds its utterances and no
            others, all for the test and called as in the list. Those that are not there are rejected, each with the
            number of its trials.
        val: share of the videos, where they are drawn.
        test: likewise.

    Raises:
        DatasetNotFoundError: no utterance is at `root`, or no ``iden_split.txt``.
        DataError: a line of a list that does not fit, with its number; labels of trials that their names contradict;
            none of the utterances of a list is there.
        ConfigError: a value outside its range.
    """
    root = default_root("voxceleb") if root is None else root
    found = find_voxceleb(root)
    if not found.utterances:
        raise DatasetNotFoundError(f"VoxCeleb is not at {root}. {_GET}; {_LAYOUT}")
    if trials is not None:
        return _table_of_trials(found, Path(trials).expanduser())
    rejected: dict[str, str] = {}
    if split == "iden":
        path = find_list(root, lists, ("iden_split.txt",))
        if path is None:
            raise DatasetNotFoundError(
                f"There is no iden_split.txt in {root if lists is None else lists}. "
                "mm.kaist.ac.kr/datasets/voxceleb links to it; or take split=videos"
            )
        listed = read_iden_split(path)
        sides = {name: side for name, side in listed.items() if name in found.utterances}
        if not sides:
            raise DataError(f"None of the {len(listed)} utterances of {path} is in {root}")
        rejected = {
            name: f"{path.name} lists it for {side}, but it is missing"
            for name, side in listed.items()
            if name not in sides
        }
        drawn = Drawn(sides, (f"Split: {describe(sides)}, as {path.name} says.", *_shared(sides)))
    else:
        if lists is not None:
            raise ConfigError(f"lists is {quoted(lists)}, but the split is drawn; take split=iden")
        drawn = _hold_out_videos(found.utterances, val, test, seed)
    if not drawn.sides:
        raise DataError(f"{root}: no utterance for training is there; the option trials reads those of a trial list")
    return make_table("voxceleb/speaker", found.utterances, drawn, rejected)


def make_table(name: str, utterances: Mapping[str, Utterance], drawn: Drawn, rejected: Mapping[str, str]) -> ClipTable:
    """Utterances whose class is their speaker.

    Args:
        name: of the table.
        utterances: by name.
        drawn: which of them, and on which side.
        rejected: of those that are missing, why.
    """
    speakers = tuple(sorted({speaker_of(name) for name in drawn.sides}))
    number = {speaker: k for k, speaker in enumerate(speakers)}
    clips = tuple(
        make_clip(name, utterances[name], number[speaker_of(name)], side) for name, side in drawn.sides.items()
    )
    blind = sum(utterances[name].picture is None for name in drawn.sides)
    return ClipTable(
        name=name,
        classes=speakers,
        clips=clips,
        media=_MEDIA,
        notes=(
            WHERE + ".",
            f"{len(speakers)} speakers. Recommended: {_MEDIA.seconds:g} s of an utterance and one picture of the face.",
            *([f"{blind} of {len(clips)} utterances have no picture."] if blind else []),
            *([f"{len(rejected)} listed utterances are missing."] if rejected else []),
            *drawn.notes,
        ),
        rejected=dict(rejected),
        group_word="source video",
    )


def make_clip(name: str, utterance: Utterance, label: int, side: str) -> Clip:
    """An utterance as a clip; its group is the source video."""
    path = utterance.picture or utterance.audio
    assert path is not None
    sound = utterance.audio if utterance.picture is not None else None
    return Clip(name, path, label, side, video_of(name), audio=sound)


def _hold_out_videos(utterances: Mapping[str, Utterance], val: float, test: float, seed: int) -> Drawn:
    """Of each speaker who is not kept for verification, whole videos; of one with too few, none."""
    labels = {name: speaker_of(name) for name, utterance in utterances.items() if not utterance.test}
    groups = {name: video_of(name) for name in labels}
    videos: dict[str, set[str]] = defaultdict(set)
    for name, speaker in labels.items():
        videos[speaker].add(groups[name])
    needed = 1 + (val > 0) + (test > 0)
    rich = {name: speaker for name, speaker in labels.items() if len(videos[speaker]) >= needed}
    few = sum(len(those) < needed for those in videos.values())
    sides = dict.fromkeys(labels, "train")
    if rich:
        drawn = draw_split("voxceleb", rich, groups, val=val, test=test, seed=seed, group_word="source video")
        sides.update(drawn.sides)
    kept = len({speaker_of(name) for name, utterance in utterances.items() if utterance.test})
    notes = [
        f"Split: {describe(sides)}, drawn with seed {seed} by whole source videos of each speaker.",
        *_shared(sides),
    ]
    if few:
        notes.append(f"{few} speakers have fewer than {needed} source videos and are for training alone.")
    if kept:
        notes.append(f"Left out: {kept} speakers kept for verification.")
    return Drawn(sides, tuple(notes))


def _shared(sides: Mapping[str, str]) -> tuple[str, ...]:
    return shared_note(sides, {name: video_of(name) for name in sides}, "source video")


def _table_of_trials(found: VoxFiles, path: Path) -> ClipTable:
    trials = read_trials(path)
    try:
        names = {listed: utterance_name(listed) for listed in trials.utterances}
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    _check_labels(trials, [speaker_of(name) for name in names.values()])
    there = [listed for listed in trials.utterances if names[listed] in found.utterances]
    if not there:
        raise DataError(f"None of the {len(names)} utterances of {path} is there, e.g. {trials.utterances[0]}")
    _, missing = trials.available(there)
    times = Counter[int](trials.first.tolist())
    times.update(trials.second.tolist())
    rejected = {
        listed: f"{path.name} lists it in {times[place]} trials, but it is missing"
        for place, listed in enumerate(trials.utterances)
        if names[listed] not in found.utterances
    }
    utterances = {listed: found.utterances[names[listed]] for listed in there}
    notes = (f"Trials: {len(trials)}, of {path.name}.", *([missing.note()] if rejected else []))
    drawn = Drawn(dict.fromkeys(there, "test"), notes)
    return make_table("voxceleb/trials", utterances, drawn, rejected)


def _check_labels(trials: TrialList, speakers: Sequence[str]) -> None:
    """Names say who speaks: a label that they contradict is wrong, or the other way round throughout."""
    number = np.unique(np.array(speakers), return_inverse=True)[1]
    same = number[trials.first] == number[trials.second]
    if (wrong := np.flatnonzero(same != trials.target)).size:
        k = int(wrong[0])
        first, second = (trials.utterances[side[k]] for side in (trials.first, trials.second))
        raise DataError(
            f"{trials.name}: {len(wrong)} of {len(trials)} labels contradict the names; the first is that of trial "
            f"{k + 1}, {int(trials.target[k])} for {first} and {second}"
        )
