"""From syllables to one movement that both the voice and the face follow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from counterpoint.data.talkers.phones import CONSONANTS, LEAD, REST, VOWELS, Target
from counterpoint.data.talkers.speakers import Speaker

RATE = 200
"""Control points per second."""

_LOCUS_SHARE = 0.5  # how far a formant is on its way to the vowel when the closure opens


@dataclass(frozen=True)
class Slot:
    """A stretch of time in which one syllable may be said.

    Attributes:
        start: when the movement sets in, seconds.
        pace: factor on durations.
        effort: factor on the opening of the mouth and the loudness.
        lead: whether a neutral vowel goes before the syllable.
    """

    start: float
    pace: float
    effort: float
    lead: bool


@dataclass(frozen=True)
class Burst:
    """The noise of a released stop: when (seconds), centre (Hz, average tract), strength."""

    time: float
    centre: float
    strength: float


@dataclass(frozen=True)
class Movement:
    """What sound and face do, sampled at `RATE`.

    Attributes:
        formants: ``(N, 3)`` Hz, of an average vocal tract.
        voice: ``(N,)``, as in `Target`.
        nasal: ``(N,)``, as in `Target`.
        opening: ``(N,)``, as in `Target`.
        width: ``(N,)``, as in `Target`.
        tongue: ``(N,)``, as in `Target`.
        bursts: releases of stops.
    """

    formants: np.ndarray
    voice: np.ndarray
    nasal: np.ndarray
    opening: np.ndarray
    width: np.ndarray
    tongue: np.ndarray
    bursts: tuple[Burst, ...]


def utterance_seconds(lead: bool) -> float:
    """Length of one syllable at pace 1, with or without its neutral vowel, seconds."""
    return 0.67 if lead else 0.46


def draw_slots(seconds: float, count: int, lead: bool, speaker: Speaker, rng: np.random.Generator) -> tuple[Slot, ...]:
    """Place one utterance in each of `count` equal stretches of a clip: onset, pace and effort differ."""
    length = seconds / count
    slots = []
    for k in range(count):
        room = 0.97 * length
        pace = min(speaker.slowness * rng.uniform(0.92, 1.08), room / utterance_seconds(lead))
        start = k * length + rng.uniform(0.01, 1) * (length - pace * utterance_seconds(lead))
        slots.append(Slot(float(start), float(pace), float(rng.uniform(0.8, 1.15)), lead))
    return tuple(slots)


def articulate(syllables: Sequence[str | None], slots: Sequence[Slot], seconds: float) -> Movement:
    """Move through the syllables, one per slot; None leaves a slot at rest.

    Args:
        syllables: names such as ``"ba"``, or None.
        slots: as many as syllables.
        seconds: length of the movement.
    """
    keys: list[tuple[float, np.ndarray]] = [(0.0, _vector(REST))]
    bursts: list[Burst] = []
    for syllable, slot in zip(syllables, slots, strict=True):
        if syllable is not None:
            more, burst = _utterance(syllable, slot)
            keys += more
            bursts += burst
    keys.append((max(seconds, keys[-1][0]), _vector(REST)))
    times = np.arange(round(seconds * RATE)) / RATE
    at = np.array([t for t, _ in keys])
    values = np.stack([v for _, v in keys])
    track = np.stack([np.interp(times, at, values[:, c]) for c in range(values.shape[1])])
    window = np.hanning(7)[1:-1]  # 25 ms: muscles do not turn corners
    padded = np.pad(track, ((0, 0), (2, 2)), mode="edge")
    smooth = np.stack([np.convolve(row, window / window.sum(), mode="valid") for row in padded])
    voice, nasal, opening, width, tongue = smooth[3:]
    return Movement(smooth[:3].T, voice, nasal, opening, width, tongue, tuple(bursts))


def _utterance(syllable: str, slot: Slot) -> tuple[list[tuple[float, np.ndarray]], list[Burst]]:
    consonant, vowel = CONSONANTS[syllable[0]], VOWELS[syllable[1]]
    now = slot.start
    keys = [(now, _vector(REST))]

    def reach(target: Target, travel: float, hold: float) -> None:
        nonlocal now
        now += travel * slot.pace
        point = _vector(target)
        point[3] *= slot.effort
        point[5] *= slot.effort
        keys.append((now, point))
        now += hold * slot.pace
        keys.append((now, point))

    if slot.lead:
        reach(LEAD, 0.07, 0.10)
        reach(consonant.closed, 0.06, 0.14)
    else:
        reach(consonant.closed, 0.05, 0.11)
    bursts = []
    if consonant.burst is not None:
        bursts.append(Burst(now, consonant.burst[0], consonant.burst[1] * slot.effort))
    # The closure opens with formants between the consonant's locus and the vowel.
    f1, f2, f3 = vowel.formants
    share = _LOCUS_SHARE
    opened = Target(
        (0.6 * f1 + 90, _mix(consonant.locus[0], f2, share), _mix(consonant.locus[1], f3, share)),
        0.6 * vowel.voice,
        0.4 * consonant.closed.nasal,
        _mix(consonant.closed.opening, vowel.opening, 0.35),
        _mix(consonant.closed.width, vowel.width, 0.35),
        0.5 * consonant.closed.tongue,
    )
    reach(opened, 0.015, 0.0)
    reach(vowel, 0.055, 0.14)
    keys.append((now + 0.09 * slot.pace, _vector(REST)))
    return keys, bursts


def _vector(target: Target) -> np.ndarray:
    return np.array(
        [*target.formants, target.voice, target.nasal, target.opening, target.width, target.tongue], dtype=np.float64
    )


def _mix(a: float, b: float, share_of_b: float) -> float:
    return (1 - share_of_b) * a + share_of_b * b
