"""A folder of real, tiny MP4 clips: a tone and a grey level tell the class."""

from pathlib import Path

import numpy as np

from counterpoint.media.encode import write_clip

CLASSES = ("high", "low")
RATE, FPS, SIZE, SECONDS = 16000, 10, 32, 0.5
PER_SPLIT = {"train": 8, "val": 4, "test": 4}


def write_tiny_clips(root: Path, classes=CLASSES, per_split=PER_SPLIT, seed: int = 0) -> Path:
    rng = np.random.default_rng(seed)
    rows = ["clip,class,split,group"]
    times = np.arange(int(SECONDS * RATE)) / RATE
    for label, name in enumerate(classes):
        (root / name).mkdir(parents=True, exist_ok=True)
        count = 0
        for split, number in per_split.items():
            for _ in range(number):
                tone = 0.3 * np.sin(2 * np.pi * (400 + 900 * label) * times * rng.uniform(0.9, 1.1))
                audio = (tone + 0.05 * rng.standard_normal(len(times))).astype(np.float32)
                level = 60 + 100 * label + rng.integers(-20, 20)
                frames = rng.normal(level, 8, (int(SECONDS * FPS), SIZE, SIZE, 3)).clip(0, 255).astype(np.uint8)
                write_clip(root / name / f"{count:03d}.mp4", audio, frames, fps=FPS, sample_rate=RATE)
                rows.append(f"{name}/{count:03d}.mp4,{name},{split},{split}")
                count += 1
    (root / "split.csv").write_text("\n".join(rows) + "\n")
    return root


def tiny_data(root: Path) -> dict:
    """The ``data`` part of a configuration for such a folder."""
    return {
        "name": "folder",
        "root": str(root),
        "media": {"sample_rate": RATE, "seconds": SECONDS, "fps": FPS, "size": SIZE, "gray": True},
        "batch_size": 8,
    }
