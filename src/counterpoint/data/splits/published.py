"""Reads the lists that datasets' splits are given out as, without any media: what the leak check compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from pathlib import Path

from counterpoint.data.clip_table import SPLITS
from counterpoint.data.datasets import _ave_files as ave_files
from counterpoint.data.datasets import _kinetics_lists as kinetics_lists
from counterpoint.data.datasets import cremad, kinetics_sounds, shuu, ssw60, vggsound, voxceleb
from counterpoint.data.datasets._voxceleb_files import utterance_name
from counterpoint.data.io.csv_tables import parse_csv, read_text
from counterpoint.data.splits.leaks import Entry, LeakReport, Overlap, Split, find_leaks
from counterpoint.data.trials import TrialList, parse_trials
from counterpoint.errors import ConfigError, DataError, DatasetNotFoundError
from counterpoint.registry import did_you_mean

_TRIAL = re.compile(r'\s*"?[01]"?[\s,]')  # a list of trials begins with a label


def check_lists(dataset: str, folder: str | Path) -> list[LeakReport]:
    """What the sides of a dataset's lists share, for each split that the folder has.

    Args:
        dataset: one of `READERS`.
        folder: where the lists lie.

    Raises:
        ConfigError: lists of this dataset are not read.
        DatasetNotFoundError: the folder or the lists are not there.
        DataError: a line of a list that does not fit, with its number.
    """
    if dataset not in READERS:
        raise ConfigError(f"Lists are not read of {dataset!r}.{did_you_mean(dataset, READERS)}")
    place = Path(folder).expanduser()
    if not place.is_dir():
        raise DatasetNotFoundError(f"There is no folder {folder} with lists of {dataset}")
    names, read = READERS[dataset]
    reports = read(place)
    if not reports:
        raise DatasetNotFoundError(f"{folder} has no lists of {dataset}: {names}")
    return reports


def _cremad(folder: Path) -> list[LeakReport]:
    entries = []
    for side in SPLITS:
        path = folder / f"{side}.csv"
        if path.is_file():
            for row in parse_csv(read_text(path), str(path), ("clip", "class"), header=False):
                try:
                    said = cremad.read_name(row["clip"])
                except DataError as error:
                    raise row.error("clip", str(error)) from None
                entries.append(Entry(row["clip"], side, said.actor))
    return _of("cremad", "actor", entries)


def _ave(folder: Path) -> list[LeakReport]:
    path = folder / "Annotations.txt"
    if not path.is_file():
        return []
    annotations = ave_files.parse_annotations(read_text(path), str(path))
    names = ave_files.name_clips(annotations)
    sides = ave_files.read_split(ave_files.Root(folder), annotations)
    entries = [Entry(names[k], side, annotations[k].video) for side, order in sides.items() for k in order]
    return _of("ave", "source video", entries)


def _vggsound(folder: Path) -> list[LeakReport]:
    path = folder / "vggsound.csv"
    rows = vggsound.read_list(path) if path.is_file() else []
    return _of("vggsound", "source video", (Entry(row.id, row.split, row.video) for row in rows))


def _kinetics_sounds(folder: Path) -> list[LeakReport]:
    entries = [
        Entry(row.id, row.split, row.video)
        for path, side in kinetics_lists.find_lists(folder).items()
        for row in kinetics_lists.read_list(path, side)
        if row.label in kinetics_sounds.CLASSES
    ]
    chosen = kinetics_lists.read_ogm_ge(folder) or {}
    listed = (Entry(f"{video}_{start}", side, video) for (video, start), (side, _) in chosen.items())
    return [
        *_of("kinetics_sounds", "source video", entries),
        *_of("kinetics_sounds, OGM-GE's lists", "source video", listed),
    ]


def _ssw60(folder: Path) -> list[LeakReport]:
    reports = []
    for name in ssw60.LISTS:
        path = folder / f"{name}.csv"
        if path.is_file():
            clips = (clip for _, clip in ssw60.read_list(path))
            reports += _of(f"ssw60/{name}", "recording", (Entry(clip.id, clip.split, clip.group) for clip in clips))
    return reports


def _shuu(folder: Path) -> list[LeakReport]:
    """The speakers who are trained on against those of each list of Unseen-Unheard pairs."""
    path = folder / "identity_splits.txt"
    if not path.is_file():
        return []
    training = [name for name, side in shuu.read_identity_splits(path).items() if side == "train"]
    reports = []
    for pairs in sorted(folder.glob("*unseenunheard.txt")):
        trained = (Entry(f"{path.name}: {name}", "train", name) for name in training)
        tested = (Entry(name, "test", name.split("/")[0]) for name in shuu.read_pairs(pairs).utterances)
        reports += _of(f"shuu: {pairs.name}", "speaker", (*trained, *tested))
    return reports


def _voxceleb(folder: Path) -> list[LeakReport]:
    """The split for identification by source videos; trial lists against all training lists by speakers, and in
    themselves by source videos."""
    reports: list[LeakReport] = []
    training: list[Entry] = []
    lists: list[tuple[Path, TrialList]] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".txt")):
        text = read_text(path)
        if path.name == "iden_split.txt":
            sides = voxceleb.read_iden_split(path)
            reports += _of(f"voxceleb: {path.name}", "source video", (Entry(n, s, _video(n)) for n, s in sides.items()))
            training += [Entry(name, "train", name.split("/")[0]) for name, side in sides.items() if side == "train"]
        elif _TRIAL.match(text):
            lists.append((path, parse_trials(text, str(path))))
        elif "train" in path.stem:
            training += _training_list(path, text)
    for path, trials in lists:
        names = [utterance_name(listed) for listed in trials.utterances]
        if training:
            tested = (Entry(name, "test", name.split("/")[0]) for name in names)
            reports += _of(f"voxceleb: {path.name}, against what is trained on", "speaker", (*training, *tested))
        reports.append(_within(path.name, trials, [_video(name) for name in names], alone=not training))
    return reports


def _training_list(path: Path, text: str) -> list[Entry]:
    """Lines of which a cell names an utterance; voxceleb_trainer's are ``id00012 id00012/21Uxsk56VDQ/00001.wav``."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = [cell.strip() for cell in line.replace(",", " ").split()]
        if not cells:
            continue
        listed = next((cell for cell in cells if cell.count("/") >= 2), None)
        if listed is None:
            raise DataError(f"{path}, line {number}: no utterance such as 'id10270/x6uYqmx31kE/00001.wav' is in it")
        name = utterance_name(listed)
        entries.append(Entry(name, "train", name.split("/")[0]))
    return entries


def _within(name: str, trials: TrialList, videos: list[str], *, alone: bool) -> LeakReport:
    """Target trials whose two utterances are of one source video: room and microphone give them away."""
    pairs = [
        (videos[a], videos[b])
        for a, b, same in zip(trials.first.tolist(), trials.second.tolist(), trials.target.tolist(), strict=True)
        if same
    ]
    shared = [a for a, b in pairs if a == b]
    within = Overlap(
        "source video",
        ("one side", "the other"),
        tuple(sorted(set(shared))),
        len({video for pair in pairs for video in pair}),
        len(shared),
        len(pairs),
        unit="target trials",
    )
    notes = ["No list of what is trained on lies beside it; speakers were not compared."] if alone else []
    return LeakReport(f"voxceleb: {name}, within trials", {"test": len(videos)}, (within,), tuple(notes))


def _video(name: str) -> str:
    return name.rsplit("/", 1)[0]


def _of(name: str, group_word: str, entries: Iterable[Entry]) -> list[LeakReport]:
    listed = tuple(entries)
    return [find_leaks(Split(name, group_word, listed))] if listed else []


READERS: dict[str, tuple[str, Callable[[Path], list[LeakReport]]]] = {
    "cremad": ("train.csv, val.csv, test.csv with lines such as 1001_DFA_ANG_XX,ANG", _cremad),
    "ave": ("Annotations.txt with train_order.h5, val_order.h5, test_order.h5 or trainSet.txt ...", _ave),
    "vggsound": ("vggsound.csv", _vggsound),
    "kinetics_sounds": (
        "train.csv, val.csv, test.csv of Kinetics, or OGM-GE's my_train.txt, my_test.txt",
        _kinetics_sounds,
    ),
    "ssw60": ("video_ml.csv, audio_ml.csv, images_inat.csv, images_nabirds.csv", _ssw60),
    "shuu": ("identity_splits.txt with veriflist_test_random_unseenunheard.txt ...", _shuu),
    "voxceleb": ("iden_split.txt, lists of trials, lists of training called *train*", _voxceleb),
}
"""Dataset -> the lists that are read of it, and how."""
