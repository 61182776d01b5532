"""The face: anti-aliased ellipses in NumPy, 64 x 64 pixels, whose mouth follows the movement."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from counterpoint.data.talkers.articulation import RATE, Movement
from counterpoint.data.talkers.speakers import Colour, Speaker

SIZE = 64
"""Height and width of a frame, pixels."""
FPS = 25
"""Frames per second."""
MOUTH = (0.1875, 0.375, 0.8125, 1.0)
"""The 40 x 40 pixels (left, top, right, bottom, as fractions) that always hold the mouth."""

_MARGIN = 6  # the head is drawn on a larger canvas, so that it can sway without baring an edge
_WINDOW = 20  # half size of the square around the mouth in which frames differ, pixels


def draw_frames(
    movement: Movement, speaker: Speaker, rng: np.random.Generator, *, hidden: bool = False, noise: float = 0.0
) -> np.ndarray:
    """Draw the frames of a movement.

    Head sway, blinks, light and small idle movements of the mouth come from `rng` and say nothing about the syllable.

    Args:
        movement: what the mouth does.
        speaker: whose face it is.
        rng: source of everything that is not speech.
        hidden: a hand lies over the mouth throughout; nothing of the mouth is drawn.
        noise: standard deviation of Gaussian noise on every pixel, as a share of full scale; gray, so that coding
            with halved colour resolution does not average it away.

    Returns:
        ``(T, 64, 64, 3)`` uint8, RGB, 25 frames per second.
    """
    count = round(len(movement.opening) / RATE * FPS)
    when = (np.arange(count) + 0.5) / FPS
    sway = _sway(when, rng)
    blink = _blinks(count, rng)
    light = 1 + 0.06 * rng.standard_normal() + 0.02 * np.sin(2 * np.pi * (rng.uniform(0.3, 1) * when + rng.uniform()))
    opened = _portrait(speaker, eyes_open=True, hidden=hidden)
    closed = _portrait(speaker, eyes_open=False, hidden=hidden)
    frames = _shift(opened, sway)
    for k in np.flatnonzero(blink):
        frames[k] += blink[k] * (_shift(closed, sway[k : k + 1])[0] - frames[k])
    idle = 0.03 * _wander(when, rng)
    wide = 1 + 0.04 * _wander(when, rng)
    if not hidden:
        control = np.arange(len(movement.opening)) / RATE
        opening = np.interp(when, control, movement.opening)
        # Idle movement must not open lips that a consonant presses together.
        opening = np.maximum(opening + idle * np.minimum(1, opening / 0.1), 0.0)
        width = np.interp(when, control, movement.width) * wide
        tongue = np.interp(when, control, movement.tongue)
        _draw_mouths(frames, sway, opening, width, tongue, speaker)
    slope = np.linspace(-1, 1, SIZE, dtype=np.float32) * np.float32(rng.uniform(-0.12, 0.12))
    frames *= (light.astype(np.float32)[:, None] + slope)[:, None, :, None]
    if noise > 0:
        frames += np.float32(noise) * rng.standard_normal((*frames.shape[:3], 1), dtype=np.float32)
    pixels: np.ndarray = (np.clip(frames, 0, 1) * 255 + 0.5).astype(np.uint8)
    return pixels


def _sway(when: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Displacement of the head ``(T, 2)`` as (down, right), pixels, at most 3.5."""
    still = rng.uniform(-1.5, 1.5, 2)
    move = [a * np.sin(2 * np.pi * (f * when + p)) for a, f, p in rng.uniform((0.2, 0.2, 0), (1.0, 0.8, 1), (2, 3))]
    return np.asarray(still + np.stack(move, axis=1))


def _wander(when: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A slow random curve of about unit size ``(T,)``."""
    waves = [np.sin(2 * np.pi * (f * when + p)) for f, p in rng.uniform((0.5, 0), (3, 1), (3, 2))]
    return np.asarray(np.sum(waves, axis=0))


def _blinks(count: int, rng: np.random.Generator) -> np.ndarray:
    """How far the eyes are shut in each frame, 0 to 1; about one blink in two seconds."""
    shut = np.zeros(count)
    for start in np.flatnonzero(rng.uniform(size=count) < 0.5 / FPS):
        shape = np.array([0.6, 1.0, 1.0, 0.4])[: count - start]
        shut[start : start + len(shape)] = shape
    return shut


def _ellipse(
    y: np.ndarray, x: np.ndarray, half_height: np.ndarray | float, half_width: np.ndarray | float
) -> np.ndarray:
    """Coverage 0 to 1 of pixels at offsets (y, x) from the centre of an ellipse, soft over one pixel at its edge."""
    a, b = np.maximum(half_width, 0.3), np.maximum(half_height, 0.3)
    u, v = x / a, y / b
    value = u * u + v * v - 1
    slope = 2 * np.sqrt((u / a) ** 2 + (v / b) ** 2) + 1e-6
    return np.clip(0.5 - value / slope, 0, 1)


def _paint(picture: np.ndarray, mask: np.ndarray, colour: Colour | np.ndarray) -> None:
    picture += mask[..., None] * (np.asarray(colour, dtype=np.float32) - picture)


@lru_cache(maxsize=256)
def _portrait(speaker: Speaker, *, eyes_open: bool, hidden: bool) -> np.ndarray:
    """Everything but the mouth, ``(64 + 2 margin, 64 + 2 margin, 3)`` float32 in 0 to 1; not to be changed."""
    side = SIZE + 2 * _MARGIN
    axis = np.arange(side, dtype=np.float32) - (side - 1) / 2
    y, x = axis[:, None], axis[None, :]
    skin, hair = np.array(speaker.skin), np.array(speaker.hair)
    half_width, half_height = speaker.face
    picture = np.empty((side, side, 3), dtype=np.float32)
    picture[:] = speaker.wall
    _paint(picture, _ellipse(y - 46, x, 22, 40), hair * 0.5 + 0.2)  # shoulders
    _paint(picture, _ellipse(y - 26, x, 20, half_width * 0.45), skin * 0.85)  # neck
    _paint(picture, _ellipse(y + 5, x, half_height * 0.98, half_width * 1.12), hair)
    _paint(picture, _ellipse(y, x, half_height, half_width), skin)
    _paint(picture, _ellipse(y + half_height * 0.95, x, half_height * 0.38, half_width * 0.95), hair)  # fringe
    _paint(picture, _ellipse(y - 4, x, 5, 2.0) * 0.5, skin * 0.8)  # nose
    _paint(picture, _ellipse(y - 8, x, 1.4, 3.0) * 0.6, skin * 0.7)
    apart, up = speaker.eyes
    for side_of_face in (-1, 1):
        dx, dy = x - side_of_face * apart, y + up
        _paint(picture, _ellipse(dy + 5, dx, 1.0, 4.5), hair * 0.7)  # brow
        if eyes_open:
            _paint(picture, _ellipse(dy, dx, 2.2, 4.0), (0.93, 0.93, 0.91))
            _paint(picture, _ellipse(dy, dx, 1.9, 1.9), (0.12, 0.10, 0.09))
        else:
            _paint(picture, _ellipse(dy, dx, 2.4, 4.2), skin * 0.88)
            _paint(picture, _ellipse(dy - 1, dx, 0.5, 3.8), skin * 0.4)
        if speaker.glasses:
            _paint(picture, _ellipse(dy, dx, 4.6, 6.4) - _ellipse(dy, dx, 3.7, 5.5), (0.1, 0.1, 0.12))
    if hidden:
        _draw_hand(picture, y - speaker.mouth_y, x, skin * 0.78)
    return picture


def _draw_hand(picture: np.ndarray, y: np.ndarray, x: np.ndarray, skin: np.ndarray) -> None:
    """A hand of four fingers over all of the mouth, in place; offsets are from the middle of the mouth."""
    reach = (np.abs(y / 12.5) ** 4 + np.abs(x / 19.0) ** 4) ** 0.25
    _paint(picture, np.clip((1 - reach) * 12, 0, 1), skin)
    for edge in (-6.2, 0.0, 6.2):
        _paint(picture, np.clip(1 - np.abs(y - edge), 0, 1) * (np.abs(x) < 17) * 0.5, skin * 0.6)


def _shift(picture: np.ndarray, sway: np.ndarray) -> np.ndarray:
    """The middle 64 x 64 of a portrait displaced by (down, right) per frame, linearly interpolated."""
    frames = np.empty((len(sway), SIZE, SIZE, 3), dtype=np.float32)
    for frame, move in zip(frames, sway, strict=True):
        start = np.clip(_MARGIN - move, 0, 2 * _MARGIN - 1e-3)
        top, left = int(start[0]), int(start[1])
        fy, fx = np.float32(start[0] % 1), np.float32(start[1] % 1)
        part = picture[top : top + SIZE + 1, left : left + SIZE + 1]
        rows = part[:-1] * (1 - fy) + part[1:] * fy
        np.add(rows[:, :-1] * (1 - fx), rows[:, 1:] * fx, out=frame)
    return frames


def _draw_mouths(
    frames: np.ndarray, sway: np.ndarray, opening: np.ndarray, width: np.ndarray, tongue: np.ndarray, speaker: Speaker
) -> None:
    """Lips, cavity, teeth and tongue into every frame, in place."""
    top = min(round(SIZE / 2 + speaker.mouth_y) - _WINDOW // 2 - 5, SIZE - 30)
    left = SIZE // 2 - _WINDOW
    window = frames[:, top : top + 30, left : left + 2 * _WINDOW]
    centre = (SIZE - 1) / 2
    rows = np.arange(window.shape[1], dtype=np.float32) + top
    columns = np.arange(window.shape[2], dtype=np.float32) + left
    y = (rows - (centre + speaker.mouth_y + sway[:, :1]))[:, :, None].astype(np.float32)
    x = (columns - (centre + sway[:, 1:]))[:, None, :].astype(np.float32)

    def each(values: np.ndarray) -> np.ndarray:
        return values.astype(np.float32)[:, None, None]

    half_height = each(speaker.gape * opening)
    half_width = each(speaker.mouth * width * (1 - 0.12 * np.clip(opening, 0, 1)))
    pressed = each(np.clip(1 - opening / 0.12, 0, 1))  # lips pressed together are thin
    thickness = np.float32(speaker.lip) * (1 - 0.35 * pressed)
    lips, skin = np.array(speaker.lips), np.array(speaker.skin)
    _paint(window, _ellipse(y, x, half_height + thickness, half_width + 0.9), lips)
    inside = _ellipse(y, x, half_height, half_width - 0.6)
    _paint(window, inside * (0.5 + 0.5 * (1 - pressed)), 0.35 * skin * lips)  # the cavity, or the line between the lips
    inside = inside * np.clip(half_height - 0.6, 0, 1)
    teeth = inside * np.clip(-half_height + 2.4 - y, 0, 1) * (np.abs(x) < 0.8 * half_width)
    _paint(window, teeth * 0.9, (0.92, 0.91, 0.86))
    raised = each(tongue)
    lift = half_height * (0.75 - 0.80 * raised)
    body = inside * _ellipse(y - lift, x, half_height * (0.55 + 0.3 * raised) + 0.2, half_width * 0.65)
    _paint(window, body * (0.5 + 0.5 * raised), (0.78, 0.30, 0.34))
