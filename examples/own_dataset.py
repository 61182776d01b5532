"""A dataset of your own: a folder of videos that are called ``class_speaker_number.mp4``.

counterpoint train --import examples/own_dataset.py --data.name named --data.root FOLDER
"""

from pathlib import Path

from counterpoint.data import Clip, ClipTable
from counterpoint.data.registry import dataset
from counterpoint.data.splits.draw import draw_split
from counterpoint.errors import DatasetNotFoundError
from counterpoint.media.spec import MediaSpec


@dataset("named", tasks=("class", "speaker"), where="a folder of your own videos, class_speaker_number.mp4")
def named(root: Path | None, task: str, seed: int, *, val: float = 0.2, test: float = 0.2) -> ClipTable:
    """List the clips; nothing is decoded. Speakers of the test clips are in no training clip.

    Args:
        root: the folder.
        task: ``class``, or ``speaker``, which cannot be split by speaker.
        seed: of the split.
        val: share of the clips (of speakers, where the task is the class) that choose the epoch.
        test: share that is tested on.
    """
    files = {path.stem: path for path in sorted(root.glob("*_*_*.mp4"))} if root is not None else {}
    if not files:
        raise DatasetNotFoundError(f"There are no videos class_speaker_number.mp4 in {root}; give --data.root")
    classes = {name: name.split("_")[0] for name in files}
    speakers = {name: name.split("_")[1] for name in files}
    labels = classes if task == "class" else speakers
    drawn = draw_split("named", labels, speakers, val=val, test=test, seed=seed, disjoint=task == "class")
    known = sorted(set(labels.values()))
    return ClipTable(
        name=f"named/{task}",
        classes=tuple(known),
        clips=tuple(
            Clip(name, path, known.index(labels[name]), drawn.sides[name], speakers[name])
            for name, path in files.items()
        ),
        media=MediaSpec(sample_rate=16000, seconds=0.5, fps=10, size=32, gray=True),
        notes=drawn.notes,
    )
