"""VGGish's front end against its definition, derived in NumPy and float64."""

import numpy as np
import pytest
import torch

from counterpoint.errors import ConfigError
from counterpoint.media.spec import MediaSpec
from counterpoint.media.transforms import create_transform
from invariants import check_compiles, check_exports, check_finite, check_independent_of_batch

SPEC = MediaSpec(sample_rate=16000, seconds=2.0)


def sound(samples: int, batch: int = 2) -> np.ndarray:
    rng = np.random.default_rng(0)
    t = np.arange(samples) / 16000
    tones = sum(np.sin(2 * np.pi * f * t + rng.uniform(0, 6, (batch, 1))) for f in (180, 900, 3100, 7000))
    return (0.2 * tones * (1 + np.sin(2 * np.pi * 3 * t)) + 0.01 * rng.standard_normal((batch, samples))) / 2


def filterbank() -> np.ndarray:
    """64 triangles on the mel scale 1127 ln(1 + f / 700), corners at 66 equal steps from 125 to 7500 Hz."""

    def mel(hertz):
        return 1127.0 * np.log(1.0 + hertz / 700.0)

    corners = np.linspace(mel(125.0), mel(7500.0), 66)
    out = np.zeros((257, 64))
    for k in range(1, 257):
        at = mel(k * 16000 / 512)
        for band in range(64):
            low, middle, high = corners[band : band + 3]
            if low < at < high:
                out[k, band] = (at - low) / (middle - low) if at <= middle else (high - at) / (high - middle)
    return out


def log_mel(wave: np.ndarray) -> np.ndarray:
    """All frames that lie within the signal, `(frames, 64)`."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    frames = [wave[at : at + 400] * window for at in range(0, len(wave) - 400 + 1, 160)]
    return np.log(np.abs(np.fft.rfft(np.stack(frames), 512)) @ filterbank() + 0.01)


def transformed(wave: np.ndarray, seconds: float, segments: int = 1) -> np.ndarray:
    module = create_transform("vggish_mel", spec=MediaSpec(seconds=seconds), segments=segments).double()
    return module(torch.from_numpy(wave)).numpy()


def test_a_segment_of_a_second_gives_its_first_96_frames():
    wave = sound(32000)
    out = transformed(wave, 2.0, segments=2)
    assert out.shape == (2, 1, 64, 192)
    for clip in range(2):
        for part in range(2):
            expected = log_mel(wave[clip, 16000 * part : 16000 * (part + 1)])
            assert len(expected) == 98
            np.testing.assert_allclose(out[clip, 0, :, 96 * part : 96 * (part + 1)].T, expected[:96], atol=2e-5)


def test_a_long_segment_gives_patch_after_patch():
    wave = sound(32000)
    out = transformed(wave, 2.0)
    np.testing.assert_allclose(out[:, 0].transpose(0, 2, 1), [log_mel(w)[:192] for w in wave], atol=2e-5)


def test_a_short_segment_gives_the_patch_around_its_middle_with_silence_beyond_the_clip():
    wave = sound(9600)  # 0.6 s
    out = transformed(wave, 0.6, segments=3)
    assert out.shape == (2, 1, 64, 3 * 96)
    padded = np.pad(wave, ((0, 0), (20000, 20000)))
    for part in range(3):
        middle = 20000 + 3200 * part + 1600
        expected = [log_mel(w[middle - 7800 : middle + 7800]) for w in padded]
        np.testing.assert_allclose(out[:, 0, :, 96 * part : 96 * (part + 1)].transpose(0, 2, 1), expected, atol=2e-5)


def test_bytes_of_sound_and_single_precision():
    wave = np.round(sound(32000) * 32768).astype(np.int16)
    out = create_transform("vggish_mel", spec=SPEC, segments=2)(torch.from_numpy(wave))
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), transformed(wave / 32768, 2.0, segments=2), atol=1e-4)


def test_invariants():
    module = create_transform("vggish_mel", spec=SPEC, segments=2).eval()

    def make(batch):
        return (torch.from_numpy(sound(32000, batch)).float(),)

    check_independent_of_batch(module, make)
    check_finite(module, make)
    check_compiles(module, make)
    check_exports(module, make)


def test_augmentation_changes_clips_in_training_alone():
    module = create_transform("vggish_mel", spec=SPEC, augment=True)
    wave = torch.from_numpy(sound(32000)).float()
    assert not torch.equal(module.train()(wave), module.eval()(wave))
    assert torch.equal(module(wave), module(wave))


def test_mistakes():
    with pytest.raises(ConfigError, match="set media.sample_rate to 16000"):
        create_transform("vggish_mel", spec=MediaSpec(sample_rate=22050))
    with pytest.raises(ConfigError, match="segments is 0"):
        create_transform("vggish_mel", spec=SPEC, segments=0)
