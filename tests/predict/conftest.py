"""A run whose model hears and sees by rule, so that what it must find is known."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from counterpoint.fusion.output import FusionOutput
from counterpoint.localise.output import from_segments
from counterpoint.media.encode import write_clip
from counterpoint.media.spec import MediaSpec
from counterpoint.training.config import TrainConfig
from counterpoint.training.load import Run

RATE, FPS = 8000, 10
CLASSES = ("dark <noise>", "bright noise")
SPEC = MediaSpec(sample_rate=RATE, seconds=2.0, fps=10, size=16)
SEGMENTS = 5


class ByRule(nn.Module):
    """Loud is an event, of class 1 if bright, else 0; how sure it is depends on the place in the window."""

    def __init__(self, segments: int | None = SEGMENTS) -> None:
        super().__init__()
        self.segments = segments
        self.transforms = nn.ModuleDict({"audio": nn.Identity(), "visual": nn.Identity()})
        self.model = nn.Module()
        self.model.config = {"name": "rule", "options": {}}
        self.batches: list[int] = []

    def forward(self, batch):
        assert batch["audio"].dtype == torch.int16 and batch["visual"].dtype == torch.uint8
        self.batches.append(len(batch["audio"]))
        parts = self.segments or 1
        loud = batch["audio"].float().unflatten(1, (parts, -1)).square().mean(-1).sqrt()
        bright = batch["visual"].float().unflatten(1, (parts, -1)).mean((2, 3, 4, 5)) - 128
        sure = 1 + torch.arange(parts) / parts
        logits = torch.stack([-bright / 20, bright / 20, (600 - loud) / 50], -1) * sure[:, None] + 3 * (
            loud[..., None] > 600
        ) * torch.tensor([1.0, 1.0, 0.0])
        if self.segments is None:
            return FusionOutput(logits[:, 0, :2], {}, torch.zeros(len(logits), 1))
        return from_segments(logits)


@pytest.fixture
def run(tmp_path):
    return Run(tmp_path / "runs" / "rule", TrainConfig(), ByRule().eval(), CLASSES, SPEC, 0)


@pytest.fixture
def classifier(tmp_path):
    return Run(tmp_path / "runs" / "rule", TrainConfig(), ByRule(None).eval(), CLASSES, SPEC, 0)


def film(path: Path, seconds: float, loud: list[tuple[float, float]], bright: list[tuple[float, float]]) -> Path:
    """Noise where it is loud, a light picture where it is bright."""
    rng = np.random.default_rng(0)
    sound, frames = np.arange(round(seconds * RATE)) / RATE, np.arange(round(seconds * FPS)) / FPS
    audio = 0.2 * rng.standard_normal(len(sound)) * _within(sound, loud)
    level = 40 + 170 * _within(frames + 1e-6, bright)
    noise = rng.integers(-10, 10, (len(frames), 16, 24, 3))
    pictures = (level[:, None, None, None] + noise).astype(np.uint8)
    write_clip(path, audio.astype(np.float32), pictures, fps=FPS, sample_rate=RATE)
    return path


def _within(times, spans):
    return np.any([np.zeros(len(times), bool), *((a <= times) & (times < b) for a, b in spans)], 0)


LOUD, BRIGHT = [(0.8, 2.0), (4.0, 6.0)], [(1.6, 5.2)]
# start, end, label: on the grid of segments of 0.4 s
TRUTH = [(0.8, 1.6, 0), (1.6, 2.0, 1), (4.0, 5.2, 1), (5.2, 6.0, 0)]


@pytest.fixture(scope="session")
def clip(tmp_path_factory):
    return film(tmp_path_factory.mktemp("film") / "a clip.mp4", 7.0, LOUD, BRIGHT)


@pytest.fixture
def film_of(tmp_path):
    return lambda *of: film(tmp_path / "film.mp4", *of)
