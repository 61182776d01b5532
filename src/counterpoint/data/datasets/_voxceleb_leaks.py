"""Whether VoxCeleb's lists share speakers or source videos: of training, of identification, of trials."""

from __future__ import annotations

import re
from pathlib import Path

from counterpoint.data.datasets._voxceleb_files import read_iden_split, speaker_of, utterance_name, video_of
from counterpoint.data.io.csv_tables import read_text
from counterpoint.data.splits.leaks import Entry, LeakReport, Overlap, compare_lists
from counterpoint.data.splits.published import published
from counterpoint.data.trials import TrialList, parse_trials
from counterpoint.errors import DataError

_TRIAL = re.compile(r'\s*"?[01]"?[\s,]')  # a list of trials begins with a label


@published("voxceleb", "iden_split.txt, lists of trials, lists of training called *train*")
def compare(folder: Path) -> list[LeakReport]:
    """The split for identification by source videos; trial lists against all training lists by speakers, and in
    themselves by source videos."""
    reports: list[LeakReport] = []
    training: list[Entry] = []
    lists: list[tuple[Path, TrialList]] = []
    for path in sorted(path for path in folder.iterdir() if path.suffix in (".csv", ".txt")):
        text = read_text(path)
        if path.name == "iden_split.txt":
            sides = read_iden_split(path)
            entries = (Entry(name, side, video_of(name)) for name, side in sides.items())
            reports += compare_lists(f"voxceleb: {path.name}", "source video", entries)
            training += [Entry(name, "train", speaker_of(name)) for name, side in sides.items() if side == "train"]
        elif _TRIAL.match(text):
            lists.append((path, parse_trials(text, str(path))))
        elif "train" in path.stem:
            training += _training_list(path, text)
    for path, trials in lists:
        names = [utterance_name(listed) for listed in trials.utterances]
        if training:
            tested = (Entry(name, "test", speaker_of(name)) for name in names)
            title = f"voxceleb: {path.name}, against what is trained on"
            reports += compare_lists(title, "speaker", (*training, *tested))
        reports.append(_within(path.name, trials, [video_of(name) for name in names], alone=not training))
    return reports


def _training_list(path: Path, text: str) -> list[Entry]:
    """Lines of which a cell names an utterance; voxceleb_trainer's are ``id00012 id00012/21Uxsk56VDQ/00001.wav``."""
    entries = []
    for number, line in enumerate(text.splitlines(), 1):
        cells = line.replace(",", " ").split()
        if not cells:
            continue
        listed = next((cell for cell in cells if cell.count("/") >= 2), None)
        if listed is None:
            raise DataError(f"{path}, line {number}: it names no utterance such as 'id10270/x6uYqmx31kE/00001.wav'")
        name = utterance_name(listed)
        entries.append(Entry(name, "train", speaker_of(name)))
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
    notes = ["No list of what is trained on is beside it; speakers were not compared."] if alone else []
    return LeakReport(f"voxceleb: {name}, within trials", {"test": len(videos)}, (within,), tuple(notes))
