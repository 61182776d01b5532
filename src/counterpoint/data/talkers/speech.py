"""The voice: glottal pulses and noise through the resonances of a vocal tract (source-filter speech)."""

from __future__ import annotations

import numpy as np

from counterpoint.data.talkers.articulation import RATE, Burst, Movement
from counterpoint.data.talkers.speakers import Speaker

SAMPLE_RATE = 16000
"""Samples per second, Hz."""

_HOP = SAMPLE_RATE // RATE
_UPPER = (3500.0, 4500.0)  # fourth and fifth formant, the same for every phone, Hz
_BANDWIDTHS = np.array([60.0, 90.0, 130.0, 200.0, 280.0])
_NASAL_BANDWIDTHS = np.array([60.0, 250.0, 300.0, 300.0, 300.0])  # added where the nose is coupled in


def speak(movement: Movement, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """The clean sound of a movement.

    Returns:
        ``(N,)`` float64 at 16 kHz, not normalised; silent where nothing is said.
    """
    count = len(movement.voice) * _HOP
    times = np.arange(count) / SAMPLE_RATE
    control = np.arange(len(movement.voice)) / RATE
    voice = np.interp(times, control, movement.voice)
    pulses = _glottal_pulses(_pitch(times, speaker, rng), speaker.jitter, rng)
    source = voice * (pulses + speaker.breath * rng.standard_normal(count))
    source = _low_pass(source, speaker.tilt)
    sound = _resonate(source, movement, speaker.tract)
    for burst in movement.bursts:
        _add_burst(sound, burst, speaker.tract, rng)
    return sound


def add_noise(speech: np.ndarray, snr_db: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise of exactly the wanted level beside speech.

    The spectrum falls with frequency as that of speech does (pink), so that no band is left clean. ``snr_db`` compares
    mean powers over the whole clip; where `speech` is silent throughout, the noise is as loud as at a power of 1e-3.

    Returns:
        ``(speech + noise, noise)``.
    """
    spectrum = np.fft.rfft(rng.standard_normal(len(speech)))
    frequency = np.fft.rfftfreq(len(speech), 1 / SAMPLE_RATE)
    noise = np.fft.irfft(spectrum / np.sqrt(np.maximum(frequency, 80.0)), len(speech))
    power = float(np.mean(speech**2)) or 1e-3
    noise *= np.sqrt(power / 10 ** (snr_db / 10) / np.mean(noise**2))
    return speech + noise, noise


def _pitch(times: np.ndarray, speaker: Speaker, rng: np.random.Generator) -> np.ndarray:
    """Fundamental frequency per sample, Hz: it falls over the clip and wavers."""
    length = times[-1] + 1 / SAMPLE_RATE
    fall = 1.08 - rng.uniform(0.08, 0.22) * times / length
    waver = 0.05 * np.sin(2 * np.pi * (rng.uniform(1.0, 2.5) * times + rng.uniform()))
    return np.asarray(speaker.pitch * rng.uniform(0.94, 1.06) * (fall + waver))


def _glottal_pulses(pitch: np.ndarray, jitter: float, rng: np.random.Generator) -> np.ndarray:
    """Derivative of Rosenberg's glottal pulse (opening 40 %, closing 16 % of a cycle), cycles of uneven length."""
    phase = np.cumsum(pitch) / SAMPLE_RATE
    cycles = int(phase[-1]) + 2
    # Bending the time axis at random knots, one per cycle, makes the cycles uneven without drifting away.
    phase = phase + np.interp(phase, np.arange(cycles), jitter * rng.standard_normal(cycles))
    phase = np.maximum.accumulate(phase) % 1.0
    flow = np.where(
        phase < 0.40,
        0.5 * (1 - np.cos(np.pi * phase / 0.40)),
        np.where(phase < 0.56, np.cos(np.pi * (phase - 0.40) / 0.32), 0.0),
    )
    return np.diff(flow, prepend=0.0) * (SAMPLE_RATE / 1000) / (pitch / 100)


def _low_pass(signal: np.ndarray, pole: float) -> np.ndarray:
    from scipy.signal import lfilter

    return np.asarray(lfilter([1 - pole], [1, -pole], signal))


def _resonate(source: np.ndarray, movement: Movement, tract: float) -> np.ndarray:
    """Five resonances in cascade, whose frequencies move every 5 ms (Klatt's cascade synthesiser)."""
    from scipy.signal import sosfilt

    frames = len(movement.voice)
    centres = np.concatenate([movement.formants, np.tile(_UPPER, (frames, 1))], axis=1) * tract
    widths = _BANDWIDTHS + movement.nasal[:, None] * _NASAL_BANDWIDTHS
    sections = _resonators(np.minimum(centres, 0.46 * SAMPLE_RATE), widths)
    silent = np.abs(source.reshape(frames, _HOP)).max(axis=1) == 0
    sound = np.empty_like(source)
    state = np.zeros((sections.shape[1], 2))
    for k in range(frames):
        block = slice(k * _HOP, (k + 1) * _HOP)
        if silent[k] and np.abs(state).max() < 1e-9:
            sound[block] = 0.0
        else:
            sound[block], state = sosfilt(sections[k], source[block], zi=state)
    return sound


def _resonators(centres: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Second-order sections ``(..., 6)`` with unit gain at 0 Hz, from centre frequencies and bandwidths in Hz."""
    c = -np.exp(-2 * np.pi * widths / SAMPLE_RATE)
    b = 2 * np.exp(-np.pi * widths / SAMPLE_RATE) * np.cos(2 * np.pi * centres / SAMPLE_RATE)
    zero = np.zeros_like(b)
    return np.stack([1 - b - c, zero, zero, np.ones_like(b), -b, -c], axis=-1)


def _add_burst(sound: np.ndarray, burst: Burst, tract: float, rng: np.random.Generator) -> None:
    """15 ms of noise around the burst's centre, in place."""
    from scipy.signal import sosfilt

    start = round(burst.time * SAMPLE_RATE)
    length = min(round(0.015 * SAMPLE_RATE), len(sound) - start)
    if length <= 0:
        return
    section = _resonators(np.array([burst.centre * tract]), np.array([500.0]))
    noise = sosfilt(section, rng.standard_normal(length))
    noise *= np.exp(-np.arange(length) / (0.005 * SAMPLE_RATE)) / (np.std(noise) + 1e-12)
    loudest = np.abs(sound).max()
    sound[start : start + length] += burst.strength * loudest * noise
