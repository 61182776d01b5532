"""Who is talking: one voice, one face, one way of moving, drawn from a seed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Speaker:
    """A synthetic person.

    Attributes:
        pitch: mean fundamental frequency, Hz.
        tract: factor on all formants; a shorter vocal tract has a larger one.
        tilt: one-pole low pass on the voice, 0 (bright) to 1 (dull).
        breath: share of noise in the voice.
        jitter: relative spread of the length of glottal cycles.
        slowness: factor on all durations.
        mouth: half width of the mouth at rest, pixels of a 64-pixel frame.
        gape: half height of the mouth wide open, pixels.
        face: half width and half height of the head, pixels.
        eyes: half distance of the eyes and their height above the centre, pixels.
        mouth_y: height of the mouth below the centre, pixels.
        lip: thickness of the lips, pixels.
        skin: colour, RGB in 0 to 1.
        lips: colour.
        hair: colour.
        wall: colour of what is behind the head.
        glasses: whether they wear them.
    """

    pitch: float
    tract: float
    tilt: float
    breath: float
    jitter: float
    slowness: float
    mouth: float
    gape: float
    face: tuple[float, float]
    eyes: tuple[float, float]
    mouth_y: float
    lip: float
    skin: Colour
    lips: Colour
    hair: Colour
    wall: Colour
    glasses: bool


def draw_speaker(rng: np.random.Generator, voice: float) -> Speaker:
    """Draw one speaker.

    Args:
        rng: source of everything but `voice`.
        voice: from 0 (low, with a long vocal tract) to 1 (high, with a short one); independent of the face.
    """
    tone = rng.uniform(0.35, 0.95)
    skin = np.array([1.0, 0.80, 0.66]) * tone + rng.normal(0, 0.02, 3)
    redness = rng.uniform(0.05, 0.22)
    lips = skin * (0.86 - redness) + np.array([redness, 0.0, 0.02])
    hair = np.array([0.32, 0.22, 0.12]) * rng.uniform(0.15, 1.9) + rng.uniform(0, 0.1)
    wall = rng.uniform(0.15, 0.85, 3)
    return Speaker(
        pitch=float(95 * 2.4**voice * rng.uniform(0.93, 1.07)),
        tract=float(0.90 + 0.24 * voice + rng.normal(0, 0.025)),
        tilt=float(rng.uniform(0.0, 0.5)),
        breath=float(rng.uniform(0.01, 0.05)),
        jitter=float(rng.uniform(0.003, 0.015)),
        slowness=float(rng.uniform(0.85, 1.15)),
        mouth=float(rng.uniform(8.5, 11.0)),
        gape=float(rng.uniform(5.0, 7.5)),
        face=(float(rng.uniform(20, 24)), float(rng.uniform(27, 31))),
        eyes=(float(rng.uniform(8, 10.5)), float(rng.uniform(6, 9))),
        mouth_y=float(rng.uniform(13, 15)),
        lip=float(rng.uniform(1.6, 2.8)),
        skin=_colour(skin),
        lips=_colour(lips),
        hair=_colour(hair),
        wall=_colour(wall),
        glasses=bool(rng.uniform() < 0.25),
    )


def _colour(values: np.ndarray) -> Colour:
    red, green, blue = np.clip(values, 0.02, 0.98)
    return float(red), float(green), float(blue)
