"""Tiny VGGSound and SSW60."""

from __future__ import annotations

from pathlib import Path

from counterpoint.data.tiny.files import write_video

_SOUNDS = ("airplane", "bird chirping, tweeting", "people marching")
_BIRDS = ("Canada Goose", "Wood Duck", "Mallard")
_PER_CLASS, _TEST = 6, 2  # clips, and how many of them are for the test


def write_vggsound(root: Path) -> None:
    """``vggsound.csv``, with a label that holds a comma, and ``video``."""
    lines = []
    for label, name in enumerate(_SOUNDS):
        for take in range(_PER_CLASS):
            video, start = f"{'abc'[label]}--_{take:07d}", 30 * take
            side = "test" if take < _TEST else "train"
            lines.append(f'{video},{start},"{name}",{side}\n')
            write_video(root / "video" / f"{video}_{start:06d}.mp4", label, take)
    (root / "vggsound.csv").write_text("".join(lines), encoding="utf-8")


def write_ssw60(root: Path) -> None:
    """``taxa.csv``, ``video_ml.csv`` and ``video_ml``; the unpaired sets are left out."""
    taxa, listed = ["label,common_name,scientific_name"], ["asset_id,label,split,fps,reliable_audio"]
    for label, name in enumerate(_BIRDS):
        taxa.append(f"{label},{name},Avis")
        for take in range(_PER_CLASS):
            asset = 10 * label + take
            listed.append(f"{asset},{label},{'test' if take < _TEST else 'train'},10,1")
            write_video(root / "video_ml" / f"{asset}.mp4", label, take)
    for file, lines in (("taxa", taxa), ("video_ml", listed)):
        (root / f"{file}.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
