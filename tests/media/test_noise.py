"""Speech-shaped noise: its level, its spectrum, its reproducibility, and the way to it from a configuration."""

import numpy as np
import pytest

from counterpoint.errors import ConfigError
from counterpoint.media.decode import read_clip
from counterpoint.media.noise import add_noise
from counterpoint.media.spec import MediaSpec
from made_clips import flash_and_click

RATE = 16000


def tone(amplitude=3000.0, seconds=3.0, frequency=440.0):
    t = np.arange(round(seconds * RATE)) / RATE
    return np.round(amplitude * np.sin(2 * np.pi * frequency * t)).astype(np.int16)


@pytest.mark.parametrize("snr", [-6.0, 0.0, 20.0])
def test_the_level_is_the_one_asked_for(snr):
    clean = tone()
    noise = add_noise(clean, RATE, snr).astype(float) - clean
    assert 10 * np.log10(np.mean(clean.astype(float) ** 2) / np.mean(noise**2)) == pytest.approx(snr, abs=0.05)


def test_the_spectrum_is_that_of_speech():
    """By octave: as loud at 250 and 500 Hz, 9 dB less an octave up, 17 dB less two octaves up (ANSI S3.5, rounded)."""
    clean = tone(seconds=20.0)
    noise = add_noise(clean, RATE, 0.0).astype(float) - clean
    power, frequencies = np.abs(np.fft.rfft(noise)) ** 2, np.fft.rfftfreq(len(noise), 1 / RATE)

    def level(frequency):
        return 10 * np.log10(power[np.abs(frequencies - frequency) < frequency * 0.1].mean())

    assert level(250) - level(500) == pytest.approx(0.5, abs=1)
    assert level(500) - level(1000) == pytest.approx(9.3, abs=1)
    assert level(500) - level(2000) == pytest.approx(17, abs=1)
    assert level(500) - level(80) > 60


def test_it_follows_from_the_samples_alone():
    one, other = tone(), tone(frequency=500.0)
    first, again, unlike = add_noise(one, RATE, 0), add_noise(one, RATE, 0), add_noise(other, RATE, 0)
    assert np.array_equal(first, again)
    assert abs(np.corrcoef(first - one, unlike - other)[0, 1]) < 0.05


def test_silence_stays_and_what_is_too_loud_is_made_quieter():
    silent = np.zeros(RATE, np.int16)
    assert np.array_equal(add_noise(silent, RATE, -6), silent)
    loud = tone(32000.0)
    mixed = add_noise(loud, RATE, -10).astype(float)
    assert np.abs(mixed).max() == 32767
    share = np.dot(mixed, loud) / np.dot(loud.astype(float), loud)  # how much of the tone is left: all, scaled
    assert 0.02 < share < 0.3


def test_clips_are_read_with_it(tmp_path):
    path = flash_and_click(tmp_path / "a.mp4")
    clean = read_clip(path, MediaSpec())
    noisy = read_clip(path, MediaSpec(audio_snr_db=-6.0))
    assert np.array_equal(noisy.audio, add_noise(clean.audio, MediaSpec().sample_rate, -6.0))
    assert not np.array_equal(noisy.audio, clean.audio)
    assert np.array_equal(noisy.visual, clean.visual)
    apart = read_clip(path, MediaSpec(audio_snr_db=-6.0), audio=path)
    assert np.array_equal(apart.audio, noisy.audio)
    assert read_clip(path, MediaSpec(audio_snr_db=-6.0), modalities=("visual",)).audio is None


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), "loud", True])
def test_bad_levels(wrong):
    with pytest.raises(ConfigError, match="audio_snr_db"):
        MediaSpec(audio_snr_db=wrong)
