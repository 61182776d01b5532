"""Tiny CREMA-D and RAVDESS."""

from __future__ import annotations

from pathlib import Path

from counterpoint.data.datasets.cremad import EMOTIONS
from counterpoint.data.tiny.files import write_flash, write_sound, write_video

_TRAIN, _TEST = ("DFA", "IEO", "IOM", "ITH"), ("ITS",)  # sentences that either list has
_ACTORS = (1, 2, 5, 6, 7, 8)  # two whom the first fold tests, and as many men as women beside them
_EMOTIONS = 8


def write_cremad(root: Path) -> None:
    """``VideoFlash``, ``AudioWAV``, ``train.csv`` and ``test.csv``; five clips for each emotion."""
    for side, sentences in (("train", _TRAIN), ("test", _TEST)):
        lines = []
        for take, sentence in enumerate(sentences):
            for label, emotion in enumerate(EMOTIONS):
                name = f"{1001 + take}_{sentence}_{emotion}_XX"
                write_flash(root / "VideoFlash" / f"{name}.flv", label, take)
                write_sound(root / "AudioWAV" / f"{name}.wav", label, take)
                lines.append(f"{name},{emotion}\n")
        (root / f"{side}.csv").write_text("".join(lines), encoding="utf-8")


def write_ravdess(root: Path) -> None:
    """``Actor_01`` ... of six actors, each emotion once; no landmarks."""
    for actor in _ACTORS:
        for emotion in range(1, _EMOTIONS + 1):
            name = f"01-01-{emotion:02d}-01-01-01-{actor:02d}"
            write_video(root / f"Actor_{actor:02d}" / f"{name}.mp4", emotion - 1, actor)
