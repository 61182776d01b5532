"""The syllables that talkers say: what each sound does to the voice, and what to the face.

Five consonants times two vowels, chosen so that neither sense knows it all:

* **Place** (lips, tongue tip, back of the tongue) is easily seen: /b m/ close the lips, /d n/ show the tongue, /g/
  neither. It is faintly heard, in the way the second formant moves, which noise masks first.
* **Manner** (stop or nasal) is easily heard: nasals hum through the closure. It is not seen at all.
* **Vowel** is both heard and seen.

So a perfect lip reader can tell 6 groups of the 10 syllables apart, and is right on 6 of 10 clips.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Target:
    """Where sound and face are heading while one phone lasts.

    Attributes:
        formants: first three resonances of an average adult's vocal tract, Hz.
        voice: strength of the glottal pulses, 0 to 1.
        nasal: how far the nose is coupled in (resonances become broad and weak), 0 to 1.
        opening: of the lips, 0 closed to 1 wide open.
        width: of the mouth relative to rest.
        tongue: how far the tongue tip is raised behind the teeth, 0 to 1.
    """

    formants: tuple[float, float, float]
    voice: float
    nasal: float
    opening: float
    width: float
    tongue: float


@dataclass(frozen=True)
class Consonant:
    """A closure, and what its release does to the vowel after it.

    Attributes:
        closed: the target while the closure lasts.
        locus: frequencies that the second and third formant come from, Hz.
        burst: centre of the noise of the release, Hz, and its strength; None without one.
    """

    closed: Target
    locus: tuple[float, float]
    burst: tuple[float, float] | None


REST = Target((500.0, 1450.0, 2450.0), 0.0, 0.0, 0.20, 1.0, 0.0)
LEAD = Target((500.0, 1450.0, 2450.0), 0.6, 0.0, 0.50, 1.0, 0.0)  # a short neutral vowel before the syllable

VOWELS = {
    "a": Target((740.0, 1250.0, 2500.0), 1.0, 0.0, 1.0, 1.0, 0.0),
    "i": Target((310.0, 2200.0, 2900.0), 0.8, 0.0, 0.42, 1.25, 0.1),
}


def _stop(opening: float, tongue: float, locus: tuple[float, float], burst: tuple[float, float]) -> Consonant:
    return Consonant(Target((220.0, locus[0], locus[1]), 0.06, 0.0, opening, 1.0, tongue), locus, burst)


def _nasal(opening: float, tongue: float, locus: tuple[float, float], murmur: float) -> Consonant:
    return Consonant(Target((270.0, murmur, 2300.0), 0.55, 1.0, opening, 1.0, tongue), locus, None)


CONSONANTS = {
    "b": _stop(0.0, 0.0, (900.0, 2200.0), (700.0, 0.10)),
    "d": _stop(0.42, 1.0, (1750.0, 2700.0), (3600.0, 0.12)),
    "g": _stop(0.42, 0.0, (2150.0, 2350.0), (1900.0, 0.14)),
    "m": _nasal(0.0, 0.0, (900.0, 2200.0), 1100.0),
    "n": _nasal(0.42, 1.0, (1750.0, 2700.0), 1450.0),
}

SYLLABLES: tuple[str, ...] = tuple(c + v for v in VOWELS for c in CONSONANTS)
"""The classes, in label order: ba, da, ga, ma, na, bi, di, gi, mi, ni."""

LOOK_ALIKE: tuple[tuple[str, ...], ...] = (("ba", "ma"), ("da", "na"), ("ga",), ("bi", "mi"), ("di", "ni"), ("gi",))
"""Syllables that sight cannot tell apart, by construction."""
