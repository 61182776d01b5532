"""Noise with the spectrum of speech, at a given level under the sound of a clip."""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from counterpoint.media.clip import DecodedClip
from counterpoint.media.spec import MediaSpec

# Speech at normal vocal effort, ANSI S3.5-1997, Table 3: centre of the third-octave band, Hz -> level per Hz, dB.
_SPEECH = {
    160: 32.41,
    200: 34.48,
    250: 34.75,
    315: 33.98,
    400: 34.59,
    500: 34.27,
    630: 32.06,
    800: 28.30,
    1000: 25.01,
    1250: 23.00,
    1600: 20.15,
    2000: 17.32,
    2500: 13.18,
    3150: 11.55,
    4000: 9.33,
    5000: 5.31,
    6300: 2.59,
    8000: 1.13,
}


def add_noise(samples: NDArray[np.int16], rate: int, snr_db: float) -> NDArray[np.int16]:
    """Add Gaussian noise with the long-term spectrum of speech.

    The noise of a clip follows from its samples alone: it is the same wherever and whenever the clip is read. The level
    of the sound is its root mean square over all of `samples`; a clip without sound stays without. Where the sum is too
    loud for 16 bits, all of it is made quieter.

    Args:
        samples: mono, int16 ``(N,)``; left as it is.
        rate: samples per second, Hz.
        snr_db: level of the sound over that of the noise, dB.

    Returns:
        int16 ``(N,)``.
    """
    clean = samples.astype(np.float64)
    power = np.mean(clean**2)
    if power == 0:
        return samples
    drawn = np.random.default_rng(zlib.crc32(samples.tobytes())).standard_normal(len(samples))
    frequencies = np.fft.rfftfreq(len(samples), 1 / rate)
    level = np.interp(np.log(np.maximum(frequencies, 1.0)), np.log(list(_SPEECH)), list(_SPEECH.values()))
    level[frequencies < min(_SPEECH)] = -np.inf  # below the voice there is none
    noise = np.fft.irfft(np.fft.rfft(drawn) * 10 ** (level / 20), len(samples))
    mean = np.mean(noise**2)
    if mean == 0:
        return samples
    mixed = clean + noise * np.sqrt(power / mean * 10 ** (-snr_db / 10))
    loudest = np.abs(mixed).max()
    quieter: NDArray[np.int16] = np.round(mixed * min(1.0, 32767 / loudest)).astype(np.int16)
    return quieter


def with_noise(clip: DecodedClip, spec: MediaSpec) -> DecodedClip:
    """The clip with the noise that `spec` asks for, if any; of a clip without sound, as it is."""
    if spec.audio_snr_db is None or clip.audio is None:
        return clip
    return replace(clip, audio=add_noise(clip.audio, spec.sample_rate, spec.audio_snr_db))
